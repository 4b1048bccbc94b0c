"""Messages and hops of a collective on gloo: the cost of small ones, whatever their bytes.

A hop is a message that waits for another one. As torch calls gloo, for any size: an all-reduce goes round the ring
twice; a reduce-scatter is an all-reduce inside; an all-gather goes round once; a reduce goes round once, then one rank
gathers the parts; a broadcast goes down a binomial tree; a barrier is a dissemination barrier; in an all-to-all every
rank sends to every other at once. On a ring each part travels as two messages. Confirmed by counting packets on 4 and 8
real ranks.
"""

from collections.abc import Callable, Mapping
from typing import Final

HOP_SECONDS: Final = 20e-6  # a gloo message between hosts: TCP, and waking the thread that waits


def _tree(ranks: int) -> int:
    return (ranks - 1).bit_length()


def _neighbours(ranks: int) -> int:
    return min(2, ranks - 1)


OfRanks = Callable[[int], int]
# By collective, of N ranks: hops; messages that the busiest rank sends; ranks that it is connected with.
_GLOO: Mapping[str, tuple[OfRanks, OfRanks, OfRanks]] = {
    "all_reduce": (lambda n: 2 * (n - 1), lambda n: 4 * (n - 1), _neighbours),
    "reduce_scatter": (lambda n: 2 * (n - 1), lambda n: 4 * (n - 1), _neighbours),
    "all_gather": (lambda n: n - 1, lambda n: 2 * (n - 1), _neighbours),
    "reduce": (lambda n: n, lambda n: 2 * n - 1, lambda n: n - 1),  # each rank may be the one that gathers
    "broadcast": (_tree, _tree, _tree),
    "barrier": (_tree, _tree, _tree),
    "all_to_all": (lambda n: 1, lambda n: n - 1, lambda n: n - 1),
}


def hops(collective: str, ranks: int) -> int:
    """Messages one after the other until the last rank is done; 0 for one rank.

    Args:
        collective: as the traffic counter names it.
    """
    return _GLOO[collective][0](ranks) if ranks > 1 else 0


def messages(collective: str, ranks: int) -> int:
    """Messages that the busiest rank sends; 0 for one rank."""
    return _GLOO[collective][1](ranks) if ranks > 1 else 0


def peers(collective: str, ranks: int) -> int:
    """Ranks that the busiest rank is connected with, if connections are made on first use."""
    return _GLOO[collective][2](ranks) if ranks > 1 else 0
