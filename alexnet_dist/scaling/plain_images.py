"""A data set that takes no memory, whatever its length: each image has one colour."""

from typing import final

import torch
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, Parts, Samples
from alexnet_dist.nets.table import Table
from alexnet_dist.registry import data_sets
from alexnet_dist.rng import Rng


@final
class _Plain(Samples):
    def __init__(self, count: int, table: Table) -> None:
        self._count, self._table = count, table

    def __len__(self) -> int:
        return self._count

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        shape = (self._table.channels, self._table.size, self._table.size)
        pixels = (ids % 256).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, *shape)
        return pixels.contiguous(memory_format=torch.channels_last), ids % self._table.classes


@final
class PlainImages(DataSet):
    name = "plain_images"
    unused = ("root",)

    def facts(self, settings: DataConfig) -> Facts:
        return Facts(classes=None, channels=None)

    def check(self, settings: DataConfig) -> None:
        """Nothing can be missing."""

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        return Parts(*[_Plain(settings.samples, table)] * 2)


PLAIN_IMAGES = data_sets.register(PlainImages())
