"""Local response normalisation across channels (NIPS 2012, section 3.3), within each tower.

y = x d^-beta with d = k + alpha/size * sum of x^2 over `size` neighbouring channels. Like CHM and
`torch.nn.LocalResponseNorm`, and unlike the paper's formula, alpha is divided by the window's size.

Forward and backward work on rows: one pixel's channels in one tower. On a CPU with a compiler they are a kernel of our
own (response_norm.cpp). Elsewhere the sum over a window is a product with a small band matrix, followed by a few
elementwise operations; on a CPU these process the images in pieces that stay in the cache. Backward computes d again
instead of keeping it, which costs less than the memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from alexnet_dist.kernels.build import Kernel, kernel_of

# Values of a piece: half a megabyte in fp32, with its temporaries about the second-level cache of a core.
PIECE = 1 << 17


@dataclass(frozen=True)
class Constants:
    """Constants of the formula; `maps` is the number of channels of one tower, which no window leaves."""

    maps: int
    size: int
    alpha: float
    beta: float
    k: float


def response_norm(x: Tensor, maps: int, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Normalise each channel by its neighbours in the same tower.

    The operator `torch.ops.alexnet_dist.response_norm`: it can be exported, compiled and run on fake tensors, and
    autocast leaves it alone. It can be differentiated once.

    Args:
        x: (batch, channels, height, width), any floating dtype; channels is a multiple of `maps`.
        maps: channels of one tower; a window never reaches into the next tower's.
        size: channels in a window, odd.
        alpha, beta, k: the constants of the formula.

    Returns:
        A tensor of x's shape, dtype and memory format. Half precisions are computed in fp32.

    Raises:
        ValueError: the size is even.
    """
    if size % 2 == 0:
        raise ValueError(f"size is {size}: it must be odd, since a window has its channel in the middle")
    normed: Tensor = _forward_op(x, maps, size, alpha, beta, k)
    return normed


def _normed(x: Tensor, *constants: Any) -> Tensor:
    return _over_rows(Constants(*constants), x)


def _gradient(x: Tensor, gradient: Tensor, *constants: Any) -> Tensor:
    return _over_rows(Constants(*constants), x, gradient)


def _shape(x: Tensor, *_: Any) -> Tensor:
    """What forward and backward return, for tensors without values."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.empty_like(x, memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.constants = inputs
    ctx.save_for_backward(x)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    (x,) = ctx.saved_tensors
    return _backward_op(x, gradient, *ctx.constants), None, None, None, None, None


def _operator(name: str, tensors: str, compute: Callable[..., Tensor]) -> Any:
    """Define an operator of this package for every device."""
    name = f"alexnet_dist::{name}"
    torch.library.define(name, f"({tensors}, int maps, int size, float alpha, float beta, float k) -> Tensor")
    torch.library.impl(name, "CompositeExplicitAutograd")(compute)
    torch.library.register_fake(name)(_shape)
    namespace, _, base = name.partition("::")
    return getattr(getattr(torch.ops, namespace), base).default


_forward_op = _operator("response_norm", "Tensor x", _normed)
_backward_op = _operator("response_norm_backward", "Tensor x, Tensor gradient", _gradient)
torch.library.register_autograd("alexnet_dist::response_norm", _differentiate, setup_context=_keep)


def _over_rows(constants: Constants, *images: Tensor) -> Tensor:
    """The norm of x, or from x and dL/dy the gradient dL/dx; images of x's shape."""
    x = images[0]
    rows = [image.movedim(1, -1).reshape(-1, constants.maps) for image in images]
    out = torch.empty_like(rows[0])
    kernel = kernel_of(x.dtype) if x.device.type == "cpu" else None
    if kernel is None:
        _by_pieces(constants, rows, out)
    else:
        _by_kernel(kernel, constants, rows, out)
    normed = out.view(x.shape[0], *x.shape[2:], x.shape[1]).movedim(-1, 1)
    return normed if x.is_contiguous(memory_format=torch.channels_last) else normed.contiguous()


def _by_kernel(kernel: Kernel, constants: Constants, rows: list[Tensor], out: Tensor) -> None:
    x, gradient = rows[0].contiguous(), rows[1].contiguous() if len(rows) > 1 else None
    scale = constants.alpha / constants.size
    kernel(
        *(x.data_ptr(), None if gradient is None else gradient.data_ptr(), out.data_ptr()),
        *(len(x), constants.maps, constants.size, scale, constants.beta, constants.k),
    )


def _by_pieces(constants: Constants, rows: list[Tensor], out: Tensor) -> None:
    """With torch's operations, a piece at a time on a CPU."""
    dtype = out.dtype
    wide = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
    piece = max(1, PIECE // constants.maps) if out.device.type == "cpu" else max(1, len(out))
    band = _band(constants, wide, out.device)
    function: Callable[..., Tensor] = _forward if len(rows) == 1 else _backward
    # Products here are part of an exact formula: autocast must not round them.
    with torch.autocast(out.device.type, enabled=False):
        for start in range(0, len(out), piece):
            part = slice(start, start + piece)
            out[part] = function(constants, band, *(r[part].to(wide) for r in rows))


def _forward(constants: Constants, band: Tensor, x: Tensor) -> Tensor:
    """Rows (pixels x towers, maps) of y from those of x."""
    return _scale(constants, _denominator(constants, band, x)).mul_(x)


def _backward(constants: Constants, band: Tensor, x: Tensor, gradient: Tensor) -> Tensor:
    """Rows of dL/dx from those of x and dL/dy = g.

    dL/dx = g d^-beta - 2 beta x * window(g x d^-(beta + 1)), the window scaled by alpha/size like the forward one; the
    band is symmetric, so it is its own transpose.
    """
    denominator = _denominator(constants, band, x)
    scaled = _scale(constants, denominator).mul_(gradient)
    reached = torch.mm((scaled * x).div_(denominator), band)
    return scaled.addcmul_(reached, x, value=-2 * constants.beta)


def _denominator(constants: Constants, band: Tensor, x: Tensor) -> Tensor:
    return torch.mm(x * x, band).add_(constants.k)


def _scale(constants: Constants, denominator: Tensor) -> Tensor:
    if constants.beta == 0.75:  # two square roots instead of a power
        root = denominator.rsqrt()
        return root.sqrt().mul_(root)
    return denominator.pow(-constants.beta)


@cache
def _band(constants: Constants, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(maps, maps): alpha/size where two channels share a window."""
    channel = torch.arange(constants.maps, device=device)
    near = (channel.unsqueeze(1) - channel).abs() <= constants.size // 2
    return near.to(dtype) * (constants.alpha / constants.size)
