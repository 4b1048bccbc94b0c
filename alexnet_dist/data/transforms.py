"""From uint8 images to a net's input: whole batches are resized and scaled on the device where they lie."""

from dataclasses import dataclass
from functools import cache
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from alexnet_dist.config.schema import DataConfig


@dataclass(frozen=True)
class InputTransform:
    """What a run does to each batch of images, in training and evaluation alike; see `to_input`.

    Attributes:
        size: height and width of the net's input.
        dtype: floating dtype of the net's input.
        normalise: mean and deviation by channel; None leaves values between 0 and 1.
    """

    size: int
    dtype: torch.dtype
    normalise: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @classmethod
    def of(cls, data: DataConfig, size: int, dtype: torch.dtype) -> Self:
        """The transform of a resolved experiment."""
        if isinstance(data.normalise, str):
            return cls(size, dtype)
        mean, deviation = map(tuple, data.normalise)
        return cls(size, dtype, (mean, deviation))

    def __call__(self, pixels: Tensor) -> Tensor:
        if self.normalise is None:
            return to_input(pixels, self.size, self.dtype)
        # At least in fp32, as in torchvision's `Normalize`: half precision would round twice.
        images = to_input(pixels, self.size, torch.promote_types(self.dtype, torch.float32))
        mean, deviation = (_by_channel(values, images.dtype, images.device) for values in self.normalise)
        return images.sub_(mean).div_(deviation).to(self.dtype)


@cache  # a copy to a GPU for each batch would wait for its queued work
def _by_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)


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
