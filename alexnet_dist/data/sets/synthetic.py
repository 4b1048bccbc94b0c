"""Random images and labels in the net's own input shape, the same for every rank and run of a seed."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, final

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, InMemory, Parts

if TYPE_CHECKING:
    import torch

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

_AT_ONCE = 32  # images made together: their random words fit a cache


@final
class Synthetic(DataSet):
    name = "synthetic"
    unused = ("root", "broken", "stage")

    def facts(self, settings: DataConfig) -> Facts:
        return Facts(classes=None, channels=None)

    def check(self, settings: DataConfig) -> None:
        """Nothing can be missing."""

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        return Parts(
            _part("train", settings.samples, table, rng, device), _part("test", settings.samples, table, rng, device)
        )


def _part(part: str, samples: int, table: Table, rng: Rng, device: torch.device) -> InMemory:
    import torch

    shape = (table.channels, table.size, table.size)
    # Channels last, as batches will be; drawn by the device: thousands of images take a CPU seconds.
    pixels = torch.empty((samples, *shape), dtype=torch.uint8, device=device, memory_format=torch.channels_last)
    numbers = torch.arange(samples, device=device)
    for target, some in zip(pixels.split(_AT_ONCE), numbers.split(_AT_ONCE), strict=True):
        target.copy_(rng.random_bytes(f"synthetic {part} pixels", some, prod(shape)).view(-1, *shape))
    labels = (rng.fractions(f"synthetic {part} labels", 0, numbers, 1)[:, 0] * table.classes).long()
    return InMemory(pixels, labels)


registry.data_sets.register(Synthetic())
