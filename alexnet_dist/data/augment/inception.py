"""`data.augment` inception, usual since 2014 (Szegedy et al., "Going deeper with convolutions", section 6): a part of
random area and shape, resized; mirrored or not; brightness, contrast and saturation changed."""

from math import log
from typing import final

import torch
from torch import Tensor

from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.crops import mirrored, resized_boxes
from alexnet_dist.data.dataset import LargeSamples, Samples, on_device

SHAPES = (3 / 4, 4 / 3)  # width over height
TRIES = 10  # boxes that are drawn for an image, of which the first that fits is taken
GREY = (0.2989, 0.587, 0.114)  # brightness of red, green and blue, ITU-R BT.601
# How many draws an image takes: for its box, and for whether it is mirrored.
_BOX_DRAWS = 4 * TRIES
_MIRROR_DRAWS = 1


@final
class InceptionAugmenter(Augmenter):
    """The parts are those of torchvision's `RandomResizedCrop`, cut from the stored image where that is larger than
    the one in a batch."""

    def draw(self, epoch: int, ids: Tensor) -> Tensor:
        jitter = self.settings.colour_jitter
        factors = 1 - jitter + 2 * jitter * self.rng.fractions("colour jitter", epoch, ids, 3)
        return torch.cat([self.rng.fractions("resized crop", epoch, ids, _BOX_DRAWS + _MIRROR_DRAWS), factors], 1)

    def read(self, samples: Samples, ids: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        def boxes(rows: range, sizes: Tensor) -> Tensor:
            tries = draws[rows.start : rows.stop, :_BOX_DRAWS].view(len(rows), TRIES, 4)
            return random_boxes(sizes, tries, self.settings.min_area)

        if isinstance(samples, LargeSamples):
            return samples.cropped(ids, boxes, self.transform.size)
        pixels, labels = samples.batch(ids)
        sizes = torch.tensor(pixels.shape[-2:]).expand(len(ids), 2)
        return resized_boxes(pixels, boxes(range(len(ids)), sizes), self.transform.size), labels

    def change(self, pixels: Tensor, draws: Tensor) -> Tensor:
        images = mirrored(pixels, on_device(draws[:, _BOX_DRAWS] < 0.5, pixels.device))
        if self.settings.colour_jitter == 0:
            return images
        images = images.to(torch.float32, memory_format=torch.contiguous_format)  # a CPU is faster channel by channel
        jitter_(images, on_device(draws[:, _BOX_DRAWS + _MIRROR_DRAWS :].float(), images.device))
        return images


def random_boxes(sizes: Tensor, draws: Tensor, min_area: float) -> Tensor:
    """A part of each image: its share of the area from `min_area` to 1, its shape from 3:4 to 4:3, anywhere.

    Args:
        sizes: int64 (rows, 2), heights and widths.
        draws: fp64 (rows, tries, 4) from [0, 1): area, shape, place from above, from the left.

    Returns:
        int64 (rows, 4), top, left, height and width. Where no try fits, the largest central part of an allowed shape.
    """
    full = sizes.double()[:, None]
    area = full.prod(2) * (min_area + (1 - min_area) * draws[:, :, 0])
    shape = (log(SHAPES[0]) + (log(SHAPES[1]) - log(SHAPES[0])) * draws[:, :, 1]).exp()
    lengths = torch.stack([(area / shape).sqrt(), (area * shape).sqrt()], 2).round()
    fits = ((lengths >= 1) & (lengths <= full)).all(2)
    places = ((full - lengths + 1) * draws[:, :, 2:]).floor()
    rows, first = torch.arange(len(sizes)), fits.int().argmax(1)
    drawn = torch.cat([places, lengths], 2)[rows, first].long()
    return torch.where(fits.any(1, keepdim=True), drawn, _central(sizes.double()))


def _central(sizes: Tensor) -> Tensor:
    height, width = sizes.unbind(1)
    lengths = torch.stack(
        [torch.minimum(height, (width / SHAPES[0]).round()), torch.minimum(width, (height * SHAPES[1]).round())], 1
    )
    return torch.cat([((sizes - lengths) / 2).floor(), lengths], 1).long()


def jitter_(images: Tensor, factors: Tensor) -> None:
    """Change brightness, then contrast, then saturation, in place, as torchvision's `adjust_…` do.

    Args:
        images: floating (rows, channels, height, width), from 0 to 255. Saturation is that of three channels.
        factors: (rows, 3); with 1, nothing changes.
    """
    brightness, contrast, saturation = factors.to(images.dtype).view(-1, 3, 1, 1, 1).unbind(1)
    images.mul_(brightness).clamp_(0, 255)
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    images.sub_(mean).mul_(contrast).add_(mean).clamp_(0, 255)
    if images.shape[1] == 3:
        grey = _grey(images)
        images.sub_(grey).mul_(saturation).add_(grey).clamp_(0, 255)


def _grey(images: Tensor) -> Tensor:
    """(rows, 1, height, width)."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, 1)
    return red * GREY[0] + green * GREY[1] + blue * GREY[2]
