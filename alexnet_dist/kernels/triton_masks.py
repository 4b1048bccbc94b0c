"""Draws a dropout mask with one Triton kernel, where `alexnet_dist.rng` needs some thirty operations."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

_BLOCK = 1024


def fill_mask(
    out: Tensor,
    time_key: int,
    first: tuple[int, int],
    dropped: int,
    scale: float,
    gamma: int,
    multipliers: tuple[int, int],
) -> None:
    """Write some rows and columns of a mask: 0 where one of 2^16 equally likely draws is below `dropped`, else `scale`.

    Args:
        out: fp32 (rows, columns), contiguous, on a device that Triton runs on.
        time_key: of the layer and the step, as an int64.
        first: the row and the column, counted over the whole mask, that `out` begins with.
        gamma, multipliers: splitmix64's.
    """
    if out.numel() == 0:
        return
    grid = (triton.cdiv(out.numel(), _BLOCK),)
    kernel: Any = _mask
    with torch.cuda.device_of(out):  # Triton launches on the current GPU, whichever holds the tensor
        kernel[grid](out, time_key, *first, out.shape[1], out.numel(), dropped, scale, gamma, *multipliers, _BLOCK)


def compile_for_this_gpu() -> None:
    """Compile the mask kernel without launching it; raises what Triton does where it cannot."""
    kernel: Any = _mask
    kernel.warmup(torch.float32, 1 << 62, 0, 0, 4096, 4096, 1 << 15, 2.0, 1, 1, 1, _BLOCK, grid=(1,))


@triton.jit(do_not_specialize=["time_key", "first_row", "first_column"])  # steps and micro-batches share a kernel
def _mask(
    out: tl.tensor,
    time_key: tl.tensor,
    first_row: tl.tensor,
    first_column: tl.tensor,
    columns: tl.tensor,
    values: tl.tensor,
    DROPPED: constexpr,
    SCALE: constexpr,
    GAMMA: constexpr,
    FIRST: constexpr,
    SECOND: constexpr,
    BLOCK: constexpr,
) -> None:
    """Each value draws the word that it shares with its three neighbours: arithmetic is cheap here."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = (first_row + index // columns + 1).to(tl.uint64)
    column = (first_column + index % columns).to(tl.uint64)
    row_key = _mixed(row * GAMMA + time_key.to(tl.uint64), FIRST, SECOND)
    word = _mixed(row_key + (column // 4 + 1) * GAMMA, FIRST, SECOND)
    draw = (word >> column % 4 * 16).to(tl.uint16).to(tl.int16, bitcast=True)
    kept = draw.to(tl.int32) >= DROPPED - 32768
    tl.store(out + index, tl.where(kept, SCALE, 0.0), mask=index < values)


@triton.jit
def _mixed(words: tl.tensor, FIRST: constexpr, SECOND: constexpr) -> tl.tensor:
    """splitmix64's finaliser, of uint64."""
    words = (words ^ (words >> 30)) * FIRST
    words = (words ^ (words >> 27)) * SECOND
    return words ^ (words >> 31)
