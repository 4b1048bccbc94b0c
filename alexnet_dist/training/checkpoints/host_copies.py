"""Copies of a state in host memory, made while training goes on."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor


class HostCopies:
    """Copies states, one after the other, into the same memory.

    For a GPU's tensors the memory is pinned, and copying does not block the host: the device copies in order, before
    the work that is given to it later.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self._copied: torch.cuda.Event | None = None

    @torch.no_grad()
    def copy(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Begin to copy a state; the copies before are overwritten.

        Args:
            state: tensors and DTensors, on one device.

        Returns:
            The same, on the host, in the order that safetensors stores: convolutions train in channels-last memory.
            They hold what they should once `wait` has returned.
        """
        copies = {name: self._copy(name, value) for name, value in state.items()}
        if any(value.is_cuda for value in state.values()):
            self._copied = torch.cuda.Event(blocking=True)  # whoever waits sleeps
            self._copied.record()
        return copies

    def wait(self) -> None:
        """Wait until the last state is copied; any thread may."""
        if self._copied is not None:
            self._copied.synchronize()

    def _copy(self, name: str, value: Tensor) -> Tensor:
        if isinstance(value, DTensor):
            # Not `from_local`, which would move the copy to the device of the mesh.
            return DTensor(self._copy(name, value.to_local()), value._spec, requires_grad=False)
        memory = self._memory.get(name)
        if memory is None or memory.shape != value.shape or memory.dtype != value.dtype:
            memory = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
            self._memory[name] = memory
        # Made contiguous on the device first: only copies between dense tensors are asynchronous.
        return memory.copy_(value.contiguous() if value.is_cuda else value, non_blocking=True)
