"""Messages and hops of collectives on gloo; the figures in comments were counted in packets on real ranks."""

import pytest

from alexnet_dist.costs.latency import hops, messages, peers
from alexnet_dist.distributed.traffic_counter import _OPS


def test_a_rank_alone_sends_nothing_and_every_counted_collective_has_a_cost() -> None:
    for name, _, _ in _OPS.values():
        assert hops(name, 1) == messages(name, 1) == peers(name, 1) == 0
        assert hops(name, 2) > 0 < messages(name, 2) and peers(name, 2) == 1


@pytest.mark.parametrize(
    "name, of_eight, of_512",
    [
        ("all_reduce", (14, 28), (1022, 2044)),  # 219 messages of 8 ranks together; 46 of 4
        ("all_gather", (7, 14), (511, 1022)),  # 108; 23
        ("broadcast", (3, 3), (9, 9)),  # 7; 3
        ("barrier", (3, 3), (9, 9)),  # 22; 7
        ("all_to_all", (1, 7), (1, 511)),  # 53; 12
    ],
)
def test_rings_grow_with_the_ranks_and_trees_with_their_logarithm(
    name: str, of_eight: tuple[int, int], of_512: tuple[int, int]
) -> None:
    assert (hops(name, 8), messages(name, 8)) == of_eight
    assert (hops(name, 512), messages(name, 512)) == of_512


def test_a_ring_needs_two_connections_and_a_tree_needs_one_a_level() -> None:
    assert (peers("all_reduce", 512), peers("broadcast", 512), peers("all_to_all", 512)) == (2, 9, 511)
