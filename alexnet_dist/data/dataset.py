"""A data set in memory: uint8 images and labels, a training and a test part."""

from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.fashion_mnist import read_fashion_mnist
from alexnet_dist.data.fashion_mnist_download import fetch
from alexnet_dist.nets.table import Table
from alexnet_dist.rng import Rng


@dataclass(frozen=True)
class Images:
    """Attributes:
    pixels: uint8 (samples, channels, height, width).
    labels: int64 (samples,).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))

    def first(self, samples: int | None) -> "Images":
        """The first `samples` of them; all where that is None."""
        return Images(self.pixels[:samples], self.labels[:samples])


@dataclass(frozen=True)
class DataSet:
    train: Images
    test: Images


def open_data(data: DataConfig, table: Table, draws: Rng) -> DataSet:
    """Read or make the data set of an experiment.

    Args:
        table: synthetic images are made in the net's own input shape.

    Raises:
        UsageError: files are missing or not the published ones.
    """
    if data.name == "fashion_mnist":
        # Every process asks; where nothing is there one fetches and the others wait for it. A folder that the user
        # named is not filled: the name may be a slip.
        files = read_fashion_mnist(data.root or str(fetch(None)))
        return DataSet(Images(*files["train"]), Images(*files["t10k"]))
    return DataSet(*(_synthetic(part, data.samples, table, draws) for part in ("train", "test")))


def _synthetic(part: str, samples: int, table: Table, draws: Rng) -> Images:
    shape = (samples, table.channels, table.size, table.size)
    return Images(
        # Channels last, as batches will be.
        draws.integers(f"synthetic {part} pixels", shape, 256, torch.uint8).contiguous(
            memory_format=torch.channels_last
        ),
        draws.integers(f"synthetic {part} labels", (samples,), table.classes, torch.int64),
    )
