"""Fails where the host waits for its device: reading a value anywhere; copies from and to a GPU that is not here."""

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
    """Sees each copy between host and GPU: what may run by itself is dense, has pinned memory on the host's side, and
    is not waited for.

    Attributes:
        count: of copies to the host.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._pinned: list[int] = []  # storages

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aten, kwargs = torch.ops.aten, kwargs or {}
        pins = func is aten._pin_memory.default  # which fake tensors cannot do
        result = args[0].clone() if pins else func(*args, **kwargs)
        if pins or (func is aten.empty.memory_format and kwargs.get("pin_memory")):
            self._pinned.append(_storage(result))
        elif func is aten.copy_.default and args[0].is_cpu and args[1].is_cuda:
            self.count += 1
            to, source, is_asynchronous = args
            self._check(to, is_asynchronous)
            assert to.stride() == source.stride(), "a copy that reorders waits"
        elif func is aten._to_copy.default and args[0].is_cuda:
            assert result.is_cuda, "a copy into new memory waits"
        elif func is aten._to_copy.default and result.is_cuda:
            self._check(args[0], kwargs.get("non_blocking", False))
        return result

    def _check(self, on_host: Tensor, is_asynchronous: bool) -> None:
        assert is_asynchronous, "the host waits"
        assert _storage(on_host) in self._pinned, "a copy from or into pageable memory waits"


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@contextmanager
def copies_of_a_gpu() -> Iterator[_Copies]:
    """Fake CUDA tensors; fails at a copy that would wait for the device."""
    with FakeTensorMode(), NoReading(), _Copies() as seen:
        yield seen
