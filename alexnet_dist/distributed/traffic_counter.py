"""Counts what the collectives of this process send, whoever calls them, except in threads beside the training.

The count is taken where torch hands a collective to a process group (the dispatcher ops of the `c10d` namespace),
so all-reduces that DDP issues from C++ are seen as well as our own. It reads tensors only: it never asks a
strategy what it expected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from alexnet_dist.distributed.waits import is_unwatched

_DISPATCH_KEYS = ("AutogradCPU", "AutogradCUDA")


def _bytes(tensors: Tensor | Sequence[Any]) -> int:
    if isinstance(tensors, Tensor):
        return tensors.numel() * tensors.element_size()
    return sum(_bytes(t) for t in tensors)


def _dtype(tensors: Tensor | Sequence[Any]) -> str:
    return str(tensors.dtype).removeprefix("torch.") if isinstance(tensors, Tensor) else _dtype(tensors[0])


# By op: the collective's name, how often the full buffer S passes a rank in an N-rank ring (times (N-1)/N), and
# which argument is S.
_OPS: dict[str, tuple[str, int, int]] = {
    "allreduce_": ("all_reduce", 2, 0),
    "allreduce_coalesced_": ("all_reduce", 2, 0),
    "allgather_": ("all_gather", 1, 0),
    "_allgather_base_": ("all_gather", 1, 0),
    "allgather_into_tensor_coalesced_": ("all_gather", 1, 0),
    "reduce_scatter_": ("reduce_scatter", 1, 1),
    "_reduce_scatter_base_": ("reduce_scatter", 1, 1),
    "reduce_scatter_tensor_coalesced_": ("reduce_scatter", 1, 1),
    "alltoall_base_": ("all_to_all", 1, 1),
    "alltoall_": ("all_to_all", 1, 1),
    "broadcast_": ("broadcast", 1, 0),
    "reduce_": ("reduce", 1, 0),
    "barrier": ("barrier", 0, 0),
}


@dataclass(frozen=True)
class Channel:
    """A collective of one process group.

    Attributes:
        group: the process group's name in torch.
        collective: by name, such as "all_reduce".
        ranks: of the group.
    """

    group: str
    collective: str
    ranks: int


@dataclass
class Sent:
    """What one collective has sent over one process group.

    Attributes:
        calls: how often the collective was called.
        bytes: sent by this rank, rounded down.
    """

    calls: int = 0
    bytes: int = 0


class TrafficCounter:
    """Bytes sent by this rank, by collective, since the last `take`.

    With S the full buffer and N the group's size, an all-reduce sends 2(N-1)/N S per rank, a gather, scatter,
    all-to-all, broadcast or reduce (N-1)/N S: what a ring or a direct exchange moves. A backend may move more.

    There is one per process, because the ops it listens to are the process's: use `traffic_counter()`.

    Attributes:
        last: name of the collective begun last, for the error message of a rank that waited too long.
        totals: calls and bytes since the counter was made, which `take` does not reset.
    """

    def __init__(self) -> None:
        # Full buffers times passes, by collective, group size and dtype: divided only when taken, so that nothing is
        # rounded bucket by bucket.
        self._passed: dict[tuple[str, int, str], int] = {}
        self.last = "no collective"
        self.totals: dict[Channel, Sent] = {}
        # Kernels live as long as the library object.
        self._library = torch.library.Library("c10d", "IMPL")
        for op, (name, passes, full) in _OPS.items():
            for key in _DISPATCH_KEYS:
                self._library.impl(op, self._counting(getattr(torch.ops.c10d, op).default, name, passes, full), key)

    def _counting(self, op: Callable[..., Any], name: str, passes: int, full: int) -> Callable[..., Any]:
        def call_op(*args: Any) -> Any:
            with torch._C._AutoDispatchBelowAutograd():
                return op(*args)

        def kernel(*args: Any) -> Any:
            if is_unwatched():
                return call_op(*args)
            group = next(ProcessGroup.unbox(a) for a in args if isinstance(a, torch.ScriptObject))
            key = name, group.size(), _dtype(args[full])
            passed = passes * _bytes(args[full])
            self.last = name
            self._passed[key] = self._passed.get(key, 0) + passed
            total = self.totals.setdefault(Channel(group.group_name, name, group.size()), Sent())
            total.calls += 1
            total.bytes += passed * (group.size() - 1) // group.size()
            return call_op(*args)

        return kernel

    def take(self) -> dict[str, int]:
        """Bytes by collective since the last call; resets the count. A barrier sends none."""
        passed, self._passed = self._passed, {}
        sent: dict[str, int] = {}
        for (name, ranks, _), size in passed.items():
            sent[name] = sent.get(name, 0) + size * (ranks - 1) // ranks
        return {name: size for name, size in sent.items() if size}

    def dtypes(self) -> dict[str, int]:
        """Bytes by dtype, such as "bfloat16", since the last `take`, which resets them."""
        sent: dict[str, int] = {}
        for (_, ranks, dtype), size in self._passed.items():
            sent[dtype] = sent.get(dtype, 0) + size * (ranks - 1) // ranks
        return sent


_counter: TrafficCounter | None = None


def traffic_counter() -> TrafficCounter:
    """The process's counter; listens from the first call on."""
    global _counter
    _counter = _counter or TrafficCounter()
    return _counter
