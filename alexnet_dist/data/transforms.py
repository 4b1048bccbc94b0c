"""From uint8 images to a net's input: whole batches are resized and scaled on the device where they lie."""

import torch
from torch import Tensor
from torch.nn import functional


def to_input(pixels: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Resize to size x size and scale to [0, 1], as torchvision's `Resize` and `ToTensor` do.

    Enlarging uint8 images on the CPU equals PIL's bilinear `Resize` to the last count; on a GPU, where torch has
    no uint8 kernel, values are resized in fp32 and rounded, which is within one count.

    Args:
        pixels: uint8 (batch, channels, height, width); an empty batch is allowed.
        size: height and width wanted.
        dtype: floating dtype wanted.

    Returns:
        (batch, channels, size, size) in channels-last memory.
    """
    if pixels.shape[-2:] != (size, size):
        pixels = _resize(pixels, size)
    return pixels.to(dtype, memory_format=torch.channels_last).div_(255)


def _resize(pixels: Tensor, size: int) -> Tensor:
    if len(pixels) == 0:
        return pixels.new_empty((0, pixels.shape[1], size, size))
    if pixels.device.type == "cpu":
        return functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
    resized = functional.interpolate(pixels.float(), size=(size, size), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255)
