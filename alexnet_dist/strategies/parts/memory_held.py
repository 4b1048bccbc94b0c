"""Counts the memory that tensors really take."""

from collections.abc import Iterable

from torch import Tensor


def held_bytes(tensors: Iterable[object]) -> int:
    """Bytes of the storage of tensors, shared storage counted once; other objects are not counted."""
    storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors if isinstance(t, Tensor))}
    return sum(storages.values())
