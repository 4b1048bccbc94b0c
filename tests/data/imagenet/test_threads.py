"""How many threads decode, and where."""

import os

import pytest
import torch

from alexnet_dist.data.imagenet.threads import decoding_threads

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


@pytest.mark.parametrize(
    "device, workers, count, cores",
    [
        (GPU, None, 7, frozenset(range(2, 16))),
        (GPU, 3, 3, frozenset(range(2, 16))),
        (CPU, None, 1, None),
        (CPU, 3, 3, None),
    ],
)
def test_two_ranks_on_sixteen_cores(
    device: torch.device, workers: int | None, count: int, cores: frozenset[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU: a rank's share but one, on the cores that are not left to the ranks' own threads."""
    variables = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    threads = decoding_threads(workers, device)
    assert (threads.count, threads.cores) == (count, cores)
