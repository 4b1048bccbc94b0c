"""The mean image of a data set and the covariance of its colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from alexnet_dist.data.dataset import Samples

_AT_ONCE = 64


@dataclass(frozen=True)
class Statistics:
    """Of the pixels of training images, whose values run from 0 to 255; on the CPU.

    Attributes:
        mean_image: fp32 (channels, height, width).
        covariance: fp64 (channels, channels), between the channels of a pixel, over all pixels of all images.
    """

    mean_image: Tensor
    covariance: Tensor


def measure(samples: Samples, at_most: int | None = None) -> Statistics:
    """The statistics of samples, or of `at_most` of them, evenly spread.

    Sums are of whole numbers below 2^53, and so the same on every device and in any order.
    """
    count = len(samples) if at_most is None else min(at_most, len(samples))
    ids = torch.arange(count) * len(samples) // count
    image_sum = product_sum = torch.zeros(())
    for some in ids.split(_AT_ONCE):
        pixels, _ = samples.batch(some)
        colours = pixels.transpose(0, 1).flatten(1).double()
        image_sum = image_sum.to(pixels.device) + pixels.sum(0, dtype=torch.int64)
        product_sum = product_sum.to(pixels.device) + colours @ colours.T
    mean_image = image_sum.cpu().double() / count
    mean = mean_image.flatten(1).mean(1)
    products = product_sum.cpu() / (count * mean_image[0].numel())
    return Statistics(mean_image.float(), products - torch.outer(mean, mean))
