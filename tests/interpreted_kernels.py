"""The Triton kernels run by Triton's interpreter, on the CPU."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch
from torch import Tensor

from alexnet_dist import kernels, rng
from alexnet_dist.kernels import norm_pool, response_norm


@contextmanager
def interpreted() -> Iterator[ModuleType]:
    """Run the Triton kernels on CPU tensors within the context; yields their module."""
    pytest.importorskip("triton")
    _forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TRITON_INTERPRET", "1")
        for user in (norm_pool, response_norm, rng):
            patch.setattr(user, "triton_runs_on", lambda device: device.type == "cpu")
        patch.setattr(response_norm, "kernel_of", _unused)
        from alexnet_dist.kernels import triton_kernels  # reads the variable

        yield triton_kernels
    _forget()


def _forget() -> None:
    """Make the next import of the kernels a fresh one."""
    for name in ("triton_kernels", "triton_masks"):
        sys.modules.pop(f"alexnet_dist.kernels.{name}", None)
        vars(kernels).pop(name, None)


def _unused(dtype: torch.dtype) -> None:
    raise AssertionError("the kernel for CPUs is asked for")


def truncated(values: Tensor, dtype: torch.dtype) -> Tensor:
    """fp64 values as the interpreter stores them: rounded, but truncated for bf16."""
    if dtype != torch.bfloat16:
        return values.to(dtype).double()
    return (values.float().view(torch.int32) & ~0xFFFF).view(torch.float32).double()
