"""The compiled kernel of the response norm on a CPU."""

from collections.abc import Callable
from ctypes import c_double, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path

import torch

from alexnet_dist.compiled import compiled

SOURCE = Path(__file__).with_name("response_norm.cpp")
DTYPES = {torch.bfloat16: c_float, torch.float32: c_float, torch.float64: c_double}  # and the type of the constants

Kernel = Callable[..., None]


@cache
def kernel_of(dtype: torch.dtype) -> Kernel | None:
    """`norm_DTYPE` of response_norm.cpp; None where the dtype has none or it cannot be built here."""
    library, _ = compiled(SOURCE)
    if library is None or dtype not in DTYPES:
        return None
    kernel = library[f"norm_{str(dtype).removeprefix('torch.')}"]
    wide = DTYPES[dtype]
    kernel.argtypes = (c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64, wide, wide, wide)
    kernel.restype = None
    return kernel


def build_problem() -> str | None:
    """Why the compiled kernel is not there, as half a line."""
    return compiled(SOURCE)[1]
