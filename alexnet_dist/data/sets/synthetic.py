"""Random images and labels in the net's own input shape, the same for every rank and run of a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, InMemory, Parts

if TYPE_CHECKING:
    import torch

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng


@final
class Synthetic(DataSet):
    name = "synthetic"
    unused = ("root",)

    def facts(self, settings: DataConfig) -> Facts:
        return Facts(classes=None, channels=None)

    def check(self, settings: DataConfig) -> None:
        """There is nothing to miss."""

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        return Parts(*(_part(part, settings.samples, table, rng, device) for part in ("train", "test")))


def _part(part: str, samples: int, table: Table, rng: Rng, device: torch.device) -> InMemory:
    import torch

    shape = (samples, table.channels, table.size, table.size)
    pixels = rng.integers(f"synthetic {part} pixels", shape, 256, torch.uint8)
    labels = rng.integers(f"synthetic {part} labels", (samples,), table.classes, torch.int64)
    # Channels last, as batches will be.
    return InMemory(pixels.to(device, memory_format=torch.channels_last), labels.to(device))


registry.data_sets.register(Synthetic())
