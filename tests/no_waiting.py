"""Fails where the host waits for its device: reading a value anywhere; copies from a GPU that is not here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode


class NoReading(TorchDispatchMode):
    """Refuses to read a tensor's value on the host, on a CPU as on a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "the host reads a value: it waits for the device"
        return func(*args, **(kwargs or {}))


class _Copies(TorchDispatchMode):
    """Sees each copy to the host: what may run by itself goes from dense memory into pinned memory, and is not waited
    for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._pinned: list[int] = []  # storages

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is torch.ops.aten.empty.memory_format and kwargs.get("pin_memory"):
            self._pinned.append(result.untyped_storage()._cdata)
        elif func is torch.ops.aten.copy_.default and args[0].is_cpu and args[1].is_cuda:
            self.count += 1
            to, source, is_asynchronous = args
            assert is_asynchronous, "the host waits"
            assert to.untyped_storage()._cdata in self._pinned, "a copy into pageable memory waits"
            assert to.stride() == source.stride(), "a copy that reorders waits"
        elif func is torch.ops.aten._to_copy.default and args[0].is_cuda:
            assert isinstance(result, Tensor) and result.is_cuda, "a copy into new memory waits"
        return result


@contextmanager
def copies_of_a_gpu() -> Iterator[_Copies]:
    """Fake CUDA tensors; fails at a copy to the host that would wait for the device."""
    with FakeTensorMode(), NoReading(), _Copies() as seen:
        yield seen
