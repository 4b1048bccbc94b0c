"""The time limits of process groups."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from alexnet_dist.distributed.bring_up import NCCL_GRACE, limit_waiting
from alexnet_dist.distributed.mesh import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One process that counts as the first of two."""
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield World(0, 2, torch.device("cpu"), dist.new_group(backend="gloo"), "nccl")
    dist.destroy_process_group()


def seconds(group: dist.ProcessGroup) -> float:
    return group._get_backend(torch.device("cpu")).options._timeout.total_seconds()


def test_nccl_gives_up_after_the_control_group(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the error which names the rank comes before NCCL's watchdog ends the process without a word."""
    tensors = dist.new_group(backend="gloo")
    backend = dist.get_backend
    monkeypatch.setattr(dist, "get_backend", lambda group: "nccl" if group is tensors else backend(group))
    limit_waiting(world, [tensors], timedelta(seconds=20))
    assert [seconds(group) for group in (world.control, dist.group.WORLD)] == [20, 20]
    assert seconds(tensors) == 20 + NCCL_GRACE.total_seconds() >= 50
