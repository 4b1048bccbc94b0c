"""Local response normalisation across channels (NIPS 2012, section 3.3), within each tower.

y = x d^-beta with d = k + alpha/size * sum of x^2 over `size` neighbouring channels. Like CHM and
`torch.nn.LocalResponseNorm`, and unlike the paper's formula, alpha is divided by the window's size.

On a CPU with a compiler forward and backward are a kernel of our own (response_norm.cpp), on a GPU another
(triton_kernels.py); elsewhere they are torch's operations (shifted_adds.py). Backward recomputes d, which costs less
than to store it.
"""

from typing import Any

import torch
from torch import Tensor

from alexnet_dist.kernels import shifted_adds
from alexnet_dist.kernels.availability import triton_runs_on
from alexnet_dist.kernels.constants import NormConstants
from alexnet_dist.kernels.cpu_kernels import Kernel, kernel_of
from alexnet_dist.kernels.operators import empty_like, operator


def response_norm(x: Tensor, maps: int, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Normalise each channel by its neighbours in the same tower.

    The operator `torch.ops.alexnet_dist.response_norm`: it can be exported, compiled and run on fake tensors, and
    autocast leaves it alone. It can be differentiated once. Where no kernel of ours runs, torch.compile sees torch's
    operations in its place.

    Args:
        x: (batch, channels, height, width), any floating dtype; channels is a multiple of `maps`.
        maps: channels of one tower; a window never reaches into the next tower's.
        size: channels in a window, odd.
        alpha, beta, k: the constants of the formula.

    Returns:
        A tensor of x's shape, dtype and memory format. Half precisions are computed in fp32.

    Raises:
        TypeError: x is no tensor.
        ValueError: x is not floating or has no channels, the size is not a positive odd number, or the channels are
            not a multiple of `maps`.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x is of type {type(x).__name__}: give a torch.Tensor")
    if x.dim() < 2:
        raise ValueError(f"x has the shape {tuple(x.shape)}: it must be (batch, channels, height, width)")
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}: its dtype must be floating")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size is {size}: it must be odd, since a window has its channel in the middle")
    if maps < 1 or x.shape[1] % maps:
        raise ValueError(f"maps is {maps}: the {x.shape[1]} channels must be a multiple of it")
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting() and not _has_kernel(x.device, x.dtype):
        return _images(shifted_adds.Inlined.apply(_rows(x, maps), NormConstants(maps, size, alpha, beta, k)), x)
    normed: Tensor = _forward_op(x, maps, size, alpha, beta, k)
    return normed


def _normed(x: Tensor, *constants: Any) -> Tensor:
    norm = NormConstants(*constants)
    if not triton_runs_on(x.device):
        return _over_rows(norm, x)
    from alexnet_dist.kernels import triton_kernels

    out = empty_like(x)
    triton_kernels.norm(x, norm, out)
    return out


def _gradient(x: Tensor, gradient: Tensor, *constants: Any) -> Tensor:
    norm = NormConstants(*constants)
    if not triton_runs_on(x.device):
        return _over_rows(norm, x, gradient)
    from alexnet_dist.kernels import triton_kernels

    out = empty_like(x)
    triton_kernels.norm_backward(x, gradient, norm, out)
    return out


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.constants = inputs
    ctx.save_for_backward(x)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    (x,) = ctx.saved_tensors
    return _backward_op(x, gradient, *ctx.constants), None, None, None, None, None


_CONSTANTS = "int maps, int size, float alpha, float beta, float k"
_forward_op = operator(f"response_norm(Tensor x, {_CONSTANTS}) -> Tensor", _normed, empty_like)
_backward_op = operator(
    f"response_norm_backward(Tensor x, Tensor gradient, {_CONSTANTS}) -> Tensor", _gradient, empty_like
)
torch.library.register_autograd("alexnet_dist::response_norm", _differentiate, setup_context=_keep)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch.compile does not look inside
def _has_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    return triton_runs_on(device) if device.type != "cpu" else kernel_of(dtype) is not None


def _over_rows(norm: NormConstants, *images: Tensor) -> Tensor:
    """The norm of x, or from x and dL/dy the gradient dL/dx; images of x's shape."""
    x = images[0]
    rows = [_rows(image, norm.maps) for image in images]
    out = torch.empty_like(rows[0], memory_format=torch.contiguous_format)  # one image's rows may be a transposed view
    kernel = kernel_of(x.dtype) if x.device.type == "cpu" else None
    if kernel is None:
        shifted_adds.in_pieces(norm, rows, out)
    else:
        _by_kernel(kernel, norm, rows, out)
    return _images(out, x)


def _rows(images: Tensor, maps: int) -> Tensor:
    """(pixels x towers, maps): one pixel's channels in one tower each."""
    return images.movedim(1, -1).reshape(-1, maps)


def _images(rows: Tensor, like: Tensor) -> Tensor:
    """Rows as images again, in the shape and memory format of others."""
    images = rows.view(like.shape[0], *like.shape[2:], like.shape[1]).movedim(-1, 1)
    return images if like.is_contiguous(memory_format=torch.channels_last) else images.contiguous()


def _by_kernel(kernel: Kernel, norm: NormConstants, rows: list[Tensor], out: Tensor) -> None:
    x, gradient = rows[0].contiguous(), rows[1].contiguous() if len(rows) > 1 else None
    kernel(
        *(x.data_ptr(), None if gradient is None else gradient.data_ptr(), out.data_ptr()),
        *(len(x), norm.maps, norm.size, norm.alpha / norm.size, norm.beta, norm.k),
    )
