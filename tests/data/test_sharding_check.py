"""The check of the first step's samples can fail."""

from alexnet_dist.data.sharding_check import sharding_problem


def test_right() -> None:
    assert sharding_problem([(0, [0, 1], 3.0), (1, [2, 3], 4.0)], count=4) is None
    assert sharding_problem([(0, [0, 1], 3.0), (0, [0, 1], 3.0)], count=2) is None


def test_replicas_that_read_the_same() -> None:
    problem = sharding_problem([(0, [0, 1], 3.0), (1, [0, 1], 3.0)], count=4)
    assert problem is not None and "4 samples, 2 of them different" in problem


def test_a_part_that_nobody_reads() -> None:
    assert sharding_problem([(0, [0], 3.0), (1, [2, 3], 4.0)], count=4) is not None


def test_towers_that_read_different_images() -> None:
    for other in ([0, 2], 3.0), ([0, 1], 2.5):
        problem = sharding_problem([(0, [0, 1], 3.0), (0, *other)], count=2)
        assert problem == "rank 1 and another rank of shard 0 were given different images"
