"""Small host-side messages over all ranks along a binomial tree: log2(N) hops up, as many down.

A ring, in which gloo's own collectives pass even a single byte, takes 2 (N-1) hops.
"""

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup

T = TypeVar("T")


class Tree:
    """The ranks of a group as a tree, the first one its root; rank r and its descendants are r, r + 1, ….

    Methods are collective; a rank waits only for its part of the tree and for its parent. Values are pickled.

    Args:
        group: a gloo group; None: this is the only process.
        tag: of the messages. Threads that use the same group at the same time need a tag each.

    Attributes:
        rank, size: this rank in the group, and how many there are.
        children: ranks that send to this one on the way up.
    """

    def __init__(self, group: ProcessGroup | None, tag: int = 0) -> None:
        self._group, self._tag = group, tag
        rank, size = (0, 1) if group is None else (group.rank(), group.size())
        self.rank, self.size = rank, size
        lowest_bit = rank & -rank or size
        self._parent = rank & (rank - 1)
        self.children = [rank + (1 << i) for i in range(size.bit_length()) if 1 << i < lowest_bit]
        self.children = [child for child in self.children if child < size]

    def reduce(self, own: T, combine: Callable[[T, T], T]) -> T:
        """All ranks' values combined, on the first rank; elsewhere, those of this rank and its descendants.

        Args:
            combine: associative; its arguments are in the order of the ranks.
        """
        for child in self.children:
            own = combine(own, self._receive(child))
        if self.rank > 0:
            self._send(own, self._parent)
        return own

    def broadcast(self, value: T) -> T:
        """The first rank's value, on every rank; what others pass is ignored."""
        if self.rank > 0:
            value = self._receive(self._parent)
        for child in reversed(self.children):
            self._send(value, child)
        return value

    def gather(self, value: T) -> list[T]:
        """Every rank's value, by rank, on the first rank; elsewhere, a part of them."""
        return self.reduce([value], lambda a, b: a + b)

    def _send(self, value: object, rank: int) -> None:
        data = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        for tensor in (torch.tensor(len(data)), data):
            self._wait(dist.isend(tensor, group=self._group, group_dst=rank, tag=self._tag))

    def _receive(self, rank: int) -> Any:
        length = torch.empty((), dtype=torch.int64)
        self._wait(dist.irecv(length, group=self._group, group_src=rank, tag=self._tag))
        data = torch.empty(int(length), dtype=torch.uint8)
        self._wait(dist.irecv(data, group=self._group, group_src=rank, tag=self._tag))
        return pickle.loads(data.numpy().tobytes())

    @property
    def limit(self) -> timedelta:
        """The group's current time limit."""
        assert self._group is not None, "there are several ranks"
        limit: timedelta = self._group._get_backend(torch.device("cpu")).options._timeout
        return limit

    def _wait(self, message: dist.Work | None) -> None:
        assert message is not None, "this rank is in the group"
        message.wait(self.limit)  # by itself, gloo applies the limit set when the group was made
