"""The check of the first step's samples can fail."""

from collections.abc import Sequence

import torch

from alexnet_dist.data.order import fingerprint
from alexnet_dist.data.sharding_check import Held, sharding_problem


def held(shard: int, ids: Sequence[int], checksum: float) -> Held:
    return Held(shard, len(ids), fingerprint(torch.tensor(ids)), checksum)


def problem(*ranks: Held, count: int) -> str | None:
    return sharding_problem(ranks, count, fingerprint(torch.arange(count)))


def test_right() -> None:
    assert problem(held(0, [0, 1], 3.0), held(1, [2, 3], 4.0), count=4) is None
    assert problem(held(0, [0, 1], 3.0), held(0, [0, 1], 3.0), count=2) is None


def test_replicas_that_read_the_same() -> None:
    found = problem(held(0, [0, 1], 3.0), held(1, [0, 1], 3.0), count=4)
    assert found is not None and "one twice, and one left out" in found


def test_a_part_that_nobody_reads() -> None:
    found = problem(held(0, [0], 3.0), held(1, [2, 3], 4.0), count=4)
    assert found == "the shards have 3 samples, of a global batch of 4"


def test_towers_that_read_different_images() -> None:
    for other in ([0, 2], 3.0), ([0, 1], 2.5):
        found = problem(held(0, [0, 1], 3.0), held(0, *other), count=2)
        assert found == "rank 1 and another rank of shard 0 were given different images"
