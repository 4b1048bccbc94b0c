"""Messages along the tree of the ranks where only the first rank is real: counted, and answered for the others.

torch's fake groups answer a receive with uninitialised memory.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from alexnet_dist.distributed.tree import Tree

T = TypeVar("T")


@dataclass
class TreeMessages:
    """What went along trees so far, at the root.

    Attributes:
        calls: passes up or down a tree.
        hops: levels of the tree, summed over these passes.
        messages: to and from the root's children; a length and the data, each time.
        bytes: of the data.
        children: of the root of the largest tree.
    """

    calls: int = 0
    hops: int = 0
    messages: int = 0
    bytes: int = 0
    children: int = 0

    def pass_level(self, children: int, value: object) -> None:
        """Count one value's way up or down the tree."""
        self.calls += children > 0
        self.hops += children  # a binomial tree's root has as many as there are levels
        self.messages += 2 * children
        self.bytes += children * len(pickle.dumps(value))
        self.children = max(self.children, children)


def simulate_trees() -> TreeMessages:
    """From now on this process's trees act as if every other rank held the first rank's value.

    Returns:
        The messages along them, counted as they come.
    """
    passed = TreeMessages()

    def reduce(self: Tree, own: T, combine: Callable[[T, T], T]) -> T:
        passed.pass_level(len(self.children), own)
        return _of_many(own, self.size, combine)

    def broadcast(self: Tree, value: T) -> T:
        passed.pass_level(len(self.children), value)
        return value

    Tree.reduce, Tree.broadcast = reduce, broadcast  # type: ignore[method-assign]
    return passed


def _of_many(value: T, ranks: int, combine: Callable[[T, T], T]) -> T:
    """The combination of `ranks` copies of a value."""
    if ranks == 1:
        return value
    half = _of_many(value, ranks // 2, combine)
    both = combine(half, half)
    return combine(both, value) if ranks % 2 else both
