"""Response norm, max pool and the ReLUs beside them as one operator, where Triton runs.

Layer by layer, two to four times the bytes are moved, even with a kernel for the norm: docs/gpu.md.
"""

from typing import Any

import torch
from torch import Tensor

from alexnet_dist.kernels.availability import triton_runs_on
from alexnet_dist.kernels.constants import NormConstants, NormPool
from alexnet_dist.kernels.operators import empty_images, empty_like, operator

LARGEST_KERNEL = 15  # width of the pool's window: positions in it are stored as bytes


def norm_pool_runs_on(device: torch.device) -> bool:
    """Whether a net computes these layers as one on a device; an exported net keeps them apart."""
    return triton_runs_on(device) and not torch.compiler.is_exporting()


def norm_pool(x: Tensor, layers: NormPool) -> Tensor:
    """[ReLU,] response norm, max pool[, ReLU]: values and gradients of the layers one after the other.

    It is the operator `torch.ops.alexnet_dist.norm_pool`, and can be differentiated once.

    Args:
        x: (batch, channels, height, width), any floating dtype, on a device that Triton runs on.
        layers: with a pool of at most `LARGEST_KERNEL`.

    Returns:
        (batch, channels, pooled height, pooled width) in x's dtype and memory format.
    """
    norm = layers.norm
    constants = norm.maps, norm.size, norm.alpha, norm.beta, norm.k
    pooled: Tensor
    pooled, _ = _forward_op(x, *constants, layers.kernel, layers.stride, layers.relu_first, layers.relu_last)
    return pooled


def _layers(*settings: Any) -> NormPool:
    return NormPool(NormConstants(*settings[:5]), *settings[5:])


def _empty(x: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
    """Uninitialised: the pooled values and, for each, the byte that backward needs."""
    layers = _layers(*settings)
    height, width = ((length - layers.kernel) // layers.stride + 1 for length in x.shape[2:])
    return empty_images(x, height, width, x.dtype), empty_images(x, height, width, torch.uint8)


def _forward(x: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
    from alexnet_dist.kernels import triton_kernels

    pooled, chosen = _empty(x, *settings)
    triton_kernels.norm_pool(x, _layers(*settings), pooled, chosen)
    return pooled, chosen


def _backward(x: Tensor, chosen: Tensor, gradient: Tensor, *settings: Any) -> Tensor:
    from alexnet_dist.kernels import triton_kernels

    out = empty_like(x)
    triton_kernels.norm_pool_backward(x, chosen, gradient, _layers(*settings), out)
    return out


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, *ctx.settings = inputs
    ctx.save_for_backward(x, output[1])


def _differentiate(ctx: Any, gradient: Tensor, _: None) -> tuple[Tensor | None, ...]:
    x, chosen = ctx.saved_tensors
    return _backward_op(x, chosen, gradient, *ctx.settings), *[None] * len(ctx.settings)


_SETTINGS = (
    "int maps, int size, float alpha, float beta, float k, int kernel, int stride, bool relu_first, bool relu_last"
)
_forward_op = operator(f"norm_pool(Tensor x, {_SETTINGS}) -> (Tensor, Tensor)", _forward, _empty)
_backward_op = operator(
    f"norm_pool_backward(Tensor x, Tensor chosen, Tensor gradient, {_SETTINGS}) -> Tensor", _backward, empty_like
)
torch.library.register_autograd("alexnet_dist::norm_pool", _differentiate, setup_context=_keep)
