"""What the loader asks of an augmentation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import Samples
from alexnet_dist.data.statistics import Statistics
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.rng import Rng

_SLICE = 16  # images that a CPU works on at once: what they become fits its cache


class Augmenter(ABC):
    """Makes a net's input of training images, changed at random.

    Every change is a function of seed, epoch and sample number, so it depends on no rank, thread or resumed run. The
    random numbers of a batch are drawn on the CPU, and so are the same for any device; images are changed on their own
    device.

    Args:
        settings: resolved.
        transform: makes the net's input of images at its size.
        rng: the run's.
        statistics: of the training images; None unless the augmentation or `data.normalise` needs them.
    """

    def __init__(
        self, settings: DataConfig, transform: InputTransform, rng: Rng, statistics: Statistics | None
    ) -> None:
        self.settings, self.transform, self.rng, self.statistics = settings, transform, rng, statistics

    @final
    def __call__(self, samples: Samples, epoch: int, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The net's input (rows, channels, size, size), channels last, and the labels of training samples. May be
        called by several threads at once.

        Args:
            ids: int64 (rows,), on the CPU.
        """
        draws = self.draw(epoch, ids)
        pixels, labels = self.read(samples, ids, draws)

        def made(some: slice) -> Tensor:
            return self.transform.normalised(self.change(pixels[some], draws[some]))

        return (_in_slices(made, len(ids)) if pixels.device.type == "cpu" else made(slice(None))), labels

    @abstractmethod
    def draw(self, epoch: int, ids: Tensor) -> Tensor:
        """The random numbers of samples: fp64 (rows, numbers), on the CPU."""

    def read(self, samples: Samples, ids: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be changed: uint8 (rows, channels, height, width), and the labels."""
        return samples.batch(ids)

    @abstractmethod
    def change(self, pixels: Tensor, draws: Tensor) -> Tensor:
        """Images (rows, channels, size, size), values from 0 to 255, uint8 or floating.

        Args:
            pixels: of `read`; may be overwritten.
            draws: of `draw`, for the same samples.
        """


def _in_slices(made: Callable[[slice], Tensor], rows: int) -> Tensor:
    """What `made` gives for all rows, a few at a time."""
    first = made(slice(0, _SLICE))
    if rows <= _SLICE:
        return first
    shape = (rows, *first.shape[1:])
    result = torch.empty(shape, dtype=first.dtype, memory_format=torch.channels_last)
    result[:_SLICE] = first
    for start in range(_SLICE, rows, _SLICE):
        some = slice(start, start + _SLICE)
        result[some] = made(some)
    return result
