"""Who shares samples and who shares a replica, on a mesh of `dp` x `split`."""

import pytest
import torch

from alexnet_dist.distributed.mesh import Layout, SampleShard, World


def layout(rank: int, ranks: int, split_size: int) -> Layout:
    return Layout(World(rank, ranks, torch.device("cpu"), None), split_size, None)


@pytest.mark.parametrize(
    "rank, split_size, samples, part",
    [
        (2, 1, SampleShard(2, 4, (0, 1, 2, 3)), slice(0, 12)),
        (2, 2, SampleShard(1, 2, (0, 2)), slice(0, 6)),
        (3, 2, SampleShard(1, 2, (0, 2)), slice(6, 12)),
        (3, 4, SampleShard(0, 1, (0,)), slice(9, 12)),
    ],
)
def test_four_ranks(rank: int, split_size: int, samples: SampleShard, part: slice) -> None:
    """The ranks of a replica are consecutive; one of them reports for its samples."""
    placed = layout(rank, 4, split_size)
    assert placed.samples == samples
    assert placed.part(12) == part


def test_one_rank_has_no_groups() -> None:
    assert layout(0, 1, 1).groups == [] and layout(0, 1, 1).part(7) == slice(0, 7)
