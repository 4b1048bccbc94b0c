"""The response norm in torch's own operations, where no kernel of ours runs.

On rows: (pixels x towers, maps), one pixel's channels in one tower each. All of it is elementwise, window sums by
adding shifted copies, so that torch.compile makes few kernels of it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from alexnet_dist.kernels.constants import NormConstants

# Values of a piece: on a CPU half a megabyte in fp32, with its temporaries about the second-level cache of a core; on a
# GPU 134 MB, with its temporaries a gigabyte, however large the batch.
PIECE, GPU_PIECE = 1 << 17, 1 << 25


def in_pieces(norm: NormConstants, rows: list[Tensor], out: Tensor) -> None:
    """Write the norm of x's rows, or dL/dx from the rows of x and dL/dy, a piece at a time."""
    compute = forward if len(rows) == 1 else backward
    piece = max(1, (PIECE if out.device.type == "cpu" else GPU_PIECE) // norm.maps)
    for start in range(0, len(out), piece):
        part = slice(start, start + piece)
        out[part] = compute(norm, *(row[part] for row in rows))


def forward(norm: NormConstants, x: Tensor) -> Tensor:
    """Rows of y from those of x. Half precisions are computed in fp32."""
    wide = _widened(x)
    return (wide * _scale(norm, _denominator(norm, wide))).to(x.dtype)


def backward(norm: NormConstants, x: Tensor, gradient: Tensor) -> Tensor:
    """Rows of dL/dx from those of x and dL/dy = g.

    dL/dx = g d^-beta - 2 beta alpha/size x * window(g x d^-(beta + 1)).
    """
    wide = _widened(x)
    denominator = _denominator(norm, wide)
    scaled = _widened(gradient) * _scale(norm, denominator)
    reached = _window(norm.size, scaled * wide / denominator)
    return torch.addcmul(scaled, wide, reached, value=-2 * norm.beta * norm.alpha / norm.size).to(x.dtype)


class Inlined(torch.autograd.Function):
    """The norm of rows as operations that torch.compile sees, and may fuse with adjacent ones."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, norm: NormConstants) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.norm = norm
        return forward(norm, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return backward(ctx.norm, rows, gradient), None


def _widened(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def _denominator(norm: NormConstants, x: Tensor) -> Tensor:
    return _window(norm.size, x * x) * (norm.alpha / norm.size) + norm.k


def _window(size: int, values: Tensor) -> Tensor:
    """Sums over `size` neighbours in a row."""
    maps, reach = values.shape[1], size // 2
    padded = functional.pad(values, (reach, reach))
    sums = padded[:, :maps]
    for first in range(1, size):
        sums = sums + padded[:, first : first + maps]
    return sums


def _scale(norm: NormConstants, denominator: Tensor) -> Tensor:
    if norm.beta == 0.75:  # two square roots instead of a power
        root = denominator.rsqrt()
        return root * root.sqrt()
    return denominator.pow(-norm.beta)
