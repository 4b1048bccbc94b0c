"""`data.augment` alexnet, as in 2012 (NIPS 2012, section 4.1): a random square, mirrored or not, and colour noise."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.crops import mirrored, resize, squares
from alexnet_dist.data.dataset import Samples, SquareSamples, on_device
from alexnet_dist.data.statistics import Statistics
from alexnet_dist.data.transforms import InputTransform, check_crop
from alexnet_dist.rng import Rng

_SQUARE_DRAWS = 3  # how many an image takes: top, left, and mirrored or not


@final
class AlexNetAugmenter(Augmenter):
    """Squares of `crop` pixels at any place of the image, which `crop_padding` makes larger before; half of them
    mirrored. Colour noise moves all pixels of an image alike."""

    def __init__(
        self, settings: DataConfig, transform: InputTransform, rng: Rng, statistics: Statistics | None
    ) -> None:
        super().__init__(settings, transform, rng, statistics)
        self._components = torch.empty(0, 0, dtype=torch.float64)
        if settings.colour_noise > 0:
            assert statistics is not None, "its entry says that it needs them"
            self._components = principal_components(statistics.covariance)

    def draw(self, epoch: int, ids: Tensor) -> Tensor:
        place = self.rng.fractions("crop", epoch, ids, _SQUARE_DRAWS)
        if len(self._components) == 0:
            return place
        alpha = self.rng.normals("colour noise", epoch, ids, len(self._components)) * self.settings.colour_noise
        return torch.cat([place, alpha], 1)

    def read(self, samples: Samples, ids: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        is_mirrored = draws[:, 2] < 0.5
        if isinstance(samples, SquareSamples) and not self.settings.crop_padding:
            crop = self._crop((samples.size, samples.size))
            places = self._places(draws, samples.size - crop)
            return samples.squares(ids, crop, torch.stack([*places, is_mirrored], 1))
        pixels, labels = samples.batch(ids)
        if self._are_squares(pixels):  # a copy: they may be the data set's own memory
            pixels = mirrored(pixels.clone(), on_device(is_mirrored, pixels.device))
        return pixels, labels

    def change(self, pixels: Tensor, draws: Tensor) -> Tensor:
        images = self._squares(pixels, draws[:, :_SQUARE_DRAWS])
        if len(self._components) == 0:
            return images
        noise = (draws[:, _SQUARE_DRAWS:] @ self._components.T).float()
        return _add_to_channels(images, on_device(noise, images.device))

    def _squares(self, pixels: Tensor, draws: Tensor) -> Tensor:
        padding, device, size = self.settings.crop_padding, pixels.device, self.transform.size
        if self._are_squares(pixels):
            return resize(pixels, size, size)
        crop = self._crop(pixels.shape[-2:])
        if padding:
            pixels = functional.pad(pixels, (padding,) * 4)
        flipped = on_device(draws[:, 2] < 0.5, device)
        top, left = (on_device(place, device) for place in self._places(draws, torch.tensor(pixels.shape[-2:]) - crop))
        return resize(squares(pixels, crop, top, left, flipped), size, size)

    def _are_squares(self, pixels: Tensor) -> bool:
        """Whether nothing is to be cut from images of this size: then `read` has mirrored them, too."""
        return not self.settings.crop_padding and set(pixels.shape[-2:]) == {self._crop(pixels.shape[-2:])}

    def _crop(self, image_size: Sequence[int]) -> int:
        """Height and width of the squares that are cut from images of a size."""
        crop = self.settings.crop or min(image_size)
        check_crop(crop, image_size)
        return crop

    def _places(self, draws: Tensor, free: Tensor | int) -> tuple[Tensor, ...]:
        """How many pixels are above a square, and to its left, of those that are free."""
        return (draws[:, :2] * (free + 1)).long().unbind(1)


def principal_components(covariance: Tensor) -> Tensor:
    """The principal components of colours, in columns, each as long as its standard deviation; fp64, as given.

    Signs are fixed: the largest entry of each is positive.
    """
    variances, directions = torch.linalg.eigh(covariance)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return directions * largest.sign() * variances.clamp(min=0).sqrt()


def _add_to_channels(images: Tensor, noise: Tensor) -> Tensor:
    """fp32 images with (rows, channels) added to all pixels."""
    images = images.to(torch.float32, memory_format=torch.channels_last)
    rows, channels, height, width = images.shape
    lines = images.permute(0, 2, 3, 1).view(rows, height, width * channels)
    lines += noise.repeat(1, width).unsqueeze(1)  # a line at once: a CPU is slow at adding over three channels
    return images
