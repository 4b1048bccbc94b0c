"""From uint8 images to a net's input: whole batches are cut, resized and normalised on their own device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Self

import torch
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.crops import PLACES, resize, square_at
from alexnet_dist.errors import UsageError


@dataclass(frozen=True)
class InputTransform:
    """What a run does to each batch of images, in training and evaluation alike, apart from augmentation.

    Attributes:
        size: height and width of the net's input.
        dtype: floating dtype of the net's input.
        crop: height and width of the square that becomes the input; None takes the whole image.
        normalise: mean and deviation by channel of values between 0 and 1; None leaves those as they are.
        mean_image: fp32 (1, channels, size, size), on the device; it is subtracted from values between 0 and 255, which
            then are the input.
    """

    size: int
    dtype: torch.dtype
    crop: int | None = None
    normalise: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    mean_image: Tensor | None = field(default=None, compare=False)

    @classmethod
    def of(cls, data: DataConfig, size: int, dtype: torch.dtype, mean_image: Tensor | None = None) -> Self:
        """The transform of a resolved experiment.

        Args:
            mean_image: of the training images, fp32 (channels, height, width), on the device of batches; needed for
                `data.normalise` mean_image.
        """
        if data.normalise == "mean_image":
            assert mean_image is not None, "whoever opens the data measures it"
            part = cls(size, dtype, data.crop).framed(mean_image.unsqueeze(0))
            return cls(size, dtype, data.crop, mean_image=part.contiguous(memory_format=torch.channels_last))
        if isinstance(data.normalise, str):
            return cls(size, dtype, data.crop)
        mean, deviation = map(tuple, data.normalise)
        return cls(size, dtype, data.crop, (mean, deviation))

    def __call__(self, pixels: Tensor) -> Tensor:
        """The net's input of whole images: their central square, or all of them.

        Args:
            pixels: uint8 (rows, channels, height, width); an empty batch is allowed.

        Returns:
            (rows, channels, size, size) in channels-last memory.

        Raises:
            UsageError: the images are smaller than `crop`.
        """
        return self.normalised(self.framed(pixels))

    def views(self, pixels: Tensor) -> Iterator[Tensor]:
        """The ten inputs of 2012 (NIPS 2012, section 4.1): squares in the corners and the centre, and their mirror
        images."""
        for place in PLACES.values():
            square = resize(self._square(pixels, place), self.size, self.size)
            yield self.normalised(square)
            yield self.normalised(square.flip(3))

    def framed(self, pixels: Tensor) -> Tensor:
        """The central square of images, or all of them, at the input's size; the dtype stays."""
        return resize(self._square(pixels, PLACES["centre"]), self.size, self.size)

    def _square(self, pixels: Tensor, place: tuple[float, float]) -> Tensor:
        if self.crop is None:
            return pixels
        check_crop(self.crop, pixels.shape[-2:])
        return square_at(pixels, self.crop, place)

    def normalised(self, images: Tensor) -> Tensor:
        """Scaled and normalised images, in the input's dtype and in channels-last memory.

        Args:
            images: (rows, channels, size, size), values from 0 to 255, uint8 or floating; the latter may be changed.
        """
        # At least in fp32, as in torchvision's `Normalize`: half precision would round twice.
        exact = self.normalise is None and self.mean_image is None and not images.is_floating_point()
        dtype = self.dtype if exact else torch.promote_types(self.dtype, torch.float32)
        images = images.to(dtype, memory_format=torch.channels_last)
        if self.mean_image is not None:
            return images.sub_(self.mean_image).to(self.dtype)
        images.div_(255)
        if self.normalise is not None:
            mean, deviation = (_by_channel(values, dtype, images.device) for values in self.normalise)
            images.sub_(mean).div_(deviation)
        return images.to(self.dtype)


def check_crop(crop: int, image_size: Sequence[int]) -> None:
    """Refuse a crop that is larger than the images.

    Raises:
        UsageError: images are smaller than what is to be cut out of them.
    """
    height, width = image_size
    if min(height, width) < crop:
        remedy = f"choose at most {min(height, width)}; what is cut out is then resized to the net's input"
        raise UsageError("data.crop", crop, f"the images have {height} x {width} pixels: {remedy}")


@cache  # copied to a GPU once: each copy waits for the work queued there
def _by_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)
