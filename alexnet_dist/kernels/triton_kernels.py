"""The response norm in Triton, by itself or with the max pool after it and the ReLUs next to them, with gradients.

A program computes a tile of (pixels, channels): some pixels, all channels of one tower. The formulas are those of
response_norm.cpp. Memory is read and written once, except for pixels that windows of the pool share, which neighbouring
programs find in the cache. Of the pool and the ReLU after it, backward needs one byte per pooled value: the position of
the largest value in its window, or STOPPED where the ReLU lets no gradient through. Backward recomputes the norm's
denominators.

Tensors may have any strides. Half precisions are computed in fp32; between norm and pool values are rounded to the
tensor's dtype, as the layers would one by one.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from alexnet_dist.kernels.constants import NormConstants, NormPool

_STOPPED = constexpr(255)
# Values of a tile: 8 a thread. Compiled for an H100 by Triton 3.6 or 3.8, for images in channels-last memory, a thread
# then needs 128 registers at most and none spills (in fp64 up to 255, and some spill); with 16 it needs up to 255, so
# that a third as many run at once. Neither is timed.
_TILE = 1024
_WARPS = 4


def norm_pool(x: Tensor, layers: NormPool, pooled: Tensor, chosen: Tensor) -> None:
    """Write the pooled values and, as uint8, what backward needs about each.

    Args:
        x: (batch, channels, height, width), on a device that Triton runs on.
        pooled, chosen: (batch, channels, pooled height, pooled width), alike in strides.
    """
    strides = (x.stride(), pooled.stride())
    _launch(_norm_pool, pooled, layers, (x, pooled, chosen, *strides, _pixels(pooled), tuple(pooled.shape[2:])))


def norm_pool_backward(x: Tensor, chosen: Tensor, gradient: Tensor, layers: NormPool, out: Tensor) -> None:
    """Write dL/dx, from the gradient of the pooled values."""
    strides = (x.stride(), chosen.stride(), gradient.stride(), out.stride())
    sizes = (tuple(x.shape[2:]), tuple(gradient.shape[2:]))
    _launch(_norm_pool_backward, out, layers, (x, chosen, gradient, out, *strides, _pixels(x), *sizes))


def norm(x: Tensor, constants: NormConstants, out: Tensor) -> None:
    """Write the norm of x."""
    norm_pool(x, _alone(constants), out, out)


def norm_backward(x: Tensor, gradient: Tensor, constants: NormConstants, out: Tensor) -> None:
    """Write dL/dx, from the gradient of the norm of x."""
    norm_pool_backward(x, gradient, gradient, _alone(constants), out)


def _alone(constants: NormConstants) -> NormPool:
    """The norm as a norm before a pool whose windows have one pixel."""
    return NormPool(constants, kernel=1, stride=1)


def _pixels(images: Tensor) -> int:
    return images.numel() // images.shape[1]


def _launch(kernel: Any, out: Tensor, layers: NormPool, arguments: tuple[Any, ...]) -> None:
    """Run a kernel for every tile of what it writes."""
    if out.numel() == 0:
        return
    maps = layers.norm.maps
    width = max(16, triton.next_power_of_2(maps))
    block = max(1, _TILE // width)
    grid = triton.cdiv(_pixels(out), block), out.shape[1] // maps
    wide = tl.float64 if out.dtype == torch.float64 else tl.float32
    with torch.cuda.device_of(out):  # Triton launches on the current GPU, whichever holds the tensor
        kernel[grid](*arguments, layers, wide, block, width, num_warps=_WARPS)


@triton.jit
def _norm_pool(
    x: tl.tensor,
    pooled: tl.tensor,
    chosen: tl.tensor,
    x_strides: tl.tuple,
    pooled_strides: tl.tuple,
    pixels: tl.tensor,
    pooled_size: tl.tuple,
    LAYERS: constexpr,
    WIDE: constexpr,
    BLOCK: constexpr,
    WIDTH: constexpr,
) -> None:
    """A tile of the pooled images, which have `pixels` pixels in all. LAYERS is a NormPool."""
    inside, image, channel, row, column = _tile(pixels, pooled_size, LAYERS, BLOCK, WIDTH)
    first = x + _offsets(x_strides, image, channel, row * LAYERS.stride, column * LAYERS.stride)
    largest = tl.full((BLOCK, WIDTH), float("-inf"), WIDE)
    position = tl.full((BLOCK, WIDTH), 0, tl.int32)
    KERNEL: constexpr = LAYERS.kernel
    for step in tl.static_range(KERNEL * KERNEL):
        down = step // KERNEL * x_strides[2] + step % KERNEL * x_strides[3]
        values = tl.load(first + down, mask=inside, other=0.0).to(WIDE)
        if LAYERS.relu_first:
            values = _relu(values)
        scale, _ = _powers(values, LAYERS)
        normed = (values * scale).to(pooled.dtype.element_ty).to(WIDE)
        larger = (normed > largest) | (normed != normed)  # NaN stays NaN
        largest = tl.where(larger, normed, largest)
        position = tl.where(larger, step, position)
    if LAYERS.relu_last:
        position = tl.where(largest <= 0, _STOPPED, position)
        largest = _relu(largest)
    target = _offsets(pooled_strides, image, channel, row, column)
    tl.store(pooled + target, largest.to(pooled.dtype.element_ty), mask=inside)
    if KERNEL > 1:
        tl.store(chosen + target, position.to(tl.uint8), mask=inside)


@triton.jit
def _norm_pool_backward(
    x: tl.tensor,
    chosen: tl.tensor,
    gradient: tl.tensor,
    out: tl.tensor,
    x_strides: tl.tuple,
    chosen_strides: tl.tuple,
    gradient_strides: tl.tuple,
    out_strides: tl.tuple,
    pixels: tl.tensor,
    size: tl.tuple,
    pooled_size: tl.tuple,
    LAYERS: constexpr,
    WIDE: constexpr,
    BLOCK: constexpr,
    WIDTH: constexpr,
) -> None:
    """A tile of x, which has `pixels` pixels in all. LAYERS is a NormPool."""
    tile = _tile(pixels, size, LAYERS, BLOCK, WIDTH)
    inside, image, channel, row, column = tile
    arriving = _pool_backward(chosen, gradient, chosen_strides, gradient_strides, pooled_size, tile, LAYERS, WIDE)
    given = tl.load(x + _offsets(x_strides, image, channel, row, column), mask=inside, other=0.0).to(WIDE)
    values = _relu(given) if LAYERS.relu_first else given
    scale, inverse = _powers(values, LAYERS)
    scaled = arriving * scale
    reached = _window(tl.where(inside, scaled * values * inverse, 0.0), LAYERS.norm.size)
    FACTOR: constexpr = -2 * LAYERS.norm.beta * (LAYERS.norm.alpha / LAYERS.norm.size)
    result = scaled + FACTOR * values * reached
    if LAYERS.relu_first:
        result = tl.where(given <= 0, 0.0, result)
    tl.store(out + _offsets(out_strides, image, channel, row, column), result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _pool_backward(
    chosen: tl.tensor,
    gradient: tl.tensor,
    chosen_strides: tl.tuple,
    gradient_strides: tl.tuple,
    pooled_size: tl.tuple,
    tile: tl.tuple,
    LAYERS: constexpr,
    WIDE: constexpr,
) -> tl.tensor:
    """The gradient of the norm's values, summed over the windows of the pool that a pixel lies in.

    Those are the last window that begins at or before the pixel, and some before that one.
    """
    inside, image, channel, row, column = tile
    arriving = tl.full(inside.shape, 0.0, WIDE)
    KERNEL: constexpr = LAYERS.kernel
    STRIDE: constexpr = LAYERS.stride
    REACH: constexpr = (KERNEL + STRIDE - 1) // STRIDE
    for step in tl.static_range(REACH * REACH):
        pooled_row = row // STRIDE - step // REACH
        pooled_column = column // STRIDE - step % REACH
        down = row - pooled_row * STRIDE
        right = column - pooled_column * STRIDE
        covers = inside & (pooled_row >= 0) & (pooled_row < pooled_size[0]) & (down < KERNEL)
        covers = covers & (pooled_column >= 0) & (pooled_column < pooled_size[1]) & (right < KERNEL)
        source = gradient + _offsets(gradient_strides, image, channel, pooled_row, pooled_column)
        passed = tl.load(source, mask=covers, other=0.0).to(WIDE)
        if KERNEL > 1:
            source = chosen + _offsets(chosen_strides, image, channel, pooled_row, pooled_column)
            position = tl.load(source, mask=covers, other=_STOPPED).to(tl.int32)
            passed = tl.where(position == down * KERNEL + right, passed, 0.0)
        arriving += passed
    return arriving


@triton.jit
def _tile(pixels: tl.tensor, size: tl.tuple, LAYERS: constexpr, BLOCK: constexpr, WIDTH: constexpr) -> tl.tuple:
    """Which values of this program's tile exist, and their image, channel, row and column."""
    MAPS: constexpr = LAYERS.norm.maps
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]
    channel = tl.arange(0, WIDTH)[None, :]
    inside = (pixel < pixels) & (channel < MAPS)
    image = (pixel // (size[0] * size[1])).to(tl.int64)
    return inside, image, channel + tl.program_id(1) * MAPS, pixel // size[1] % size[0], pixel % size[1]


@triton.jit
def _offsets(strides: tl.tuple, image: tl.tensor, channel: tl.tensor, row: tl.tensor, column: tl.tensor) -> tl.tensor:
    return image * strides[0] + channel * strides[1] + row * strides[2] + column * strides[3]


@triton.jit
def _relu(values: tl.tensor) -> tl.tensor:
    return tl.maximum(values, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _powers(values: tl.tensor, LAYERS: constexpr) -> tl.tuple:
    """d^-beta and 1/d, where d is the norm's denominator."""
    BETA: constexpr = LAYERS.norm.beta
    ALPHA_OVER_SIZE: constexpr = LAYERS.norm.alpha / LAYERS.norm.size  # a plain float would become an fp32 tensor
    denominator = LAYERS.norm.k + ALPHA_OVER_SIZE * _window(values * values, LAYERS.norm.size)
    if BETA == 0.75:  # two square roots instead of a power and a division
        root = tl.rsqrt(denominator)
        scale = root * tl.sqrt(root)
        inverse = root * root
    else:
        scale = tl.exp2(-BETA * tl.log2(denominator))
        inverse = 1.0 / denominator
    return scale, inverse


@triton.jit
def _window(values: tl.tensor, SIZE: constexpr) -> tl.tensor:
    """The sum over each channel's window; values outside of the tile are zeros.

    Channels are taken as groups of four, so that a thread holds most of a window itself: one value in four then has to
    come from another thread for each neighbour, where one by one they all would.
    """
    even, odd = _halves(values)
    first, third = _halves(even)
    second, fourth = _halves(odd)
    lanes = (first, second, third, fourth)
    even = _joined(_lane_sum(lanes, 0, SIZE), _lane_sum(lanes, 2, SIZE))
    odd = _joined(_lane_sum(lanes, 1, SIZE), _lane_sum(lanes, 3, SIZE))
    return _joined(even, odd)


@triton.jit
def _lane_sum(lanes: tl.tuple, lane: constexpr, SIZE: constexpr) -> tl.tensor:
    """The window sums of channel `lane` of each group."""
    sums = lanes[lane]
    for away in tl.static_range(1, SIZE // 2 + 1):
        sums += _neighbour(lanes, lane - away) + _neighbour(lanes, lane + away)
    return sums


@triton.jit
def _neighbour(lanes: tl.tuple, channel: constexpr) -> tl.tensor:
    """For each group, the channel `channel` places after its first; it may lie in another group."""
    values = lanes[channel % 4]
    if channel // 4 != 0:
        group = tl.arange(0, values.shape[1])[None, :] + channel // 4
        exists = (group >= 0) & (group < values.shape[1])
        index = tl.broadcast_to(tl.where(exists, group, 0), values.shape)
        values = tl.where(exists, tl.gather(values, index, 1), 0.0)
    return values


@triton.jit
def _halves(values: tl.tensor) -> tl.tuple:
    """Even channels, odd channels."""
    return tl.split(tl.reshape(values, (values.shape[0], values.shape[1] // 2, 2)))


@triton.jit
def _joined(even: tl.tensor, odd: tl.tensor) -> tl.tensor:
    return tl.reshape(tl.join(even, odd), (even.shape[0], even.shape[1] * 2))
