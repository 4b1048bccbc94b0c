"""A data set from outside the package: images that are made when they are asked for, from their sample numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, Parts, Samples
from alexnet_dist.registry import data_sets

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

SIZE = 20


class Stripes(Samples):
    """Image i has a white stripe in one of ten places, which is its label, on a ground whose brightness is i's too."""

    def __init__(self, count: int, first: int, device: torch.device) -> None:
        self._count, self._first, self._device = count, first, device

    def __len__(self) -> int:
        return self._count

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        numbers = ids + self._first
        labels, ground = numbers % 10, numbers * 37 % 100
        pixels = ground.to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, SIZE, SIZE)
        for row in (0, 1):
            pixels[torch.arange(len(ids)), 0, 2 * labels + row] = 255
        return pixels.to(self._device), labels.to(self._device)


class ToyData(DataSet):
    name = "toy_data"
    unused = ("root",)

    def facts(self, settings: DataConfig) -> Facts:
        return Facts(classes=10, channels=1)

    def check(self, settings: DataConfig) -> None:
        """Nothing can be missing."""

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        return Parts(Stripes(settings.samples, 0, device), Stripes(settings.samples, settings.samples, device))


data_sets.register(ToyData())
