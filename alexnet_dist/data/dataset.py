"""What a data set is: light facts, known before anything is read, and samples by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, ClassVar, final

from alexnet_dist.config.schema import DataConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alexnet_dist.data.statistics import Statistics
    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

# Takes some rows of a batch, and int64 (rows, 2), the heights and widths of their images; gives int64 (rows, 4), top,
# left, height and width of a part of each.
Boxes = Callable[[range, "Tensor"], "Tensor"]

UNREAD = -1


class Samples(ABC):
    """One part of a data set: images and labels by sample number, wherever they are stored."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of samples, on the device that the data set was opened for.

        A sample's image is the same each time, in training and evaluation alike, and all images of a set have one
        size: those of ImageNet are 256 x 256, whole. May be called by several threads at once.

        Args:
            ids: int64 (rows,), on the CPU; sample numbers from 0.

        Returns:
            uint8 (rows, channels, height, width) and int64 (rows,); the label is UNREAD where the image cannot be
            read, which the training part never gives.
        """

    def statistics(self) -> Statistics:
        """Mean image and covariance of the colours, from at most 10,000 evenly spread images, which this call reads.

        A data set that knows those of all its images returns them instead.
        """
        from alexnet_dist.data.statistics import measure

        return measure(self, at_most=10_000)


def image_size(samples: Samples) -> tuple[int, int]:
    """Height and width of the images that `batch` gives, of which it reads one."""
    import torch

    height, width = samples.batch(torch.zeros(1, dtype=torch.int64))[0].shape[-2:]
    return height, width


class LargeSamples(Samples):
    """Samples whose stored images are larger than what `batch` gives of them, and not all of one size.

    Random resized crops are taken from the stored image; what `batch` gives has lost its edges and its resolution.
    """

    @abstractmethod
    def cropped(self, ids: Tensor, boxes: Boxes, size: int) -> tuple[Tensor, Tensor]:
        """As `batch`, of a part of each stored image, which is resized.

        Args:
            ids: int64 (rows,), on the CPU.
            boxes: called for some rows at a time, with the sizes of their stored images.
            size: height and width wanted.

        Returns:
            uint8 (rows, channels, size, size) and int64 (rows,).
        """


class SquareSamples(Samples):
    """Samples that can give squares of the images that `batch` gives, without ever holding a batch of whole images."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Height and width of the images that `batch` gives."""

    @abstractmethod
    def squares(self, ids: Tensor, size: int, cuts: Tensor) -> tuple[Tensor, Tensor]:
        """As `batch`, of a square of each image.

        Args:
            ids: int64 (rows,), on the CPU.
            size: height and width wanted.
            cuts: int64 (rows, 3), on the CPU: top, left, and whether the square is mirrored.

        Returns:
            uint8 (rows, channels, size, size) and int64 (rows,).
        """


@final
@dataclass(frozen=True)
class InMemory(Samples):
    """Samples held in memory as one tensor, on the CPU or on a GPU.

    Attributes:
        pixels: uint8 (samples, channels, height, width).
        labels: int64 (samples,).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        index = on_device(ids, self.labels.device)
        return self.pixels[index], self.labels[index]

    def statistics(self) -> Statistics:
        from alexnet_dist.data.statistics import measure

        return measure(self)


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """A copy of a small CPU tensor on a device."""
    # From pinned memory: an ordinary copy would wait for all work that the device has queued.
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


@dataclass(frozen=True)
class Parts:
    """The two parts of an opened data set.

    Attributes:
        about: what was opened, in a line; empty where there is nothing to say.
        workers: threads that wait for batches, where the settings name no number.
        unreadable: images that could not be read so far, and why, by name; grows while batches are read.
    """

    train: Samples
    test: Samples
    _: KW_ONLY
    about: str = ""
    workers: int = 1
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What a data set fixes about the net.

    Attributes:
        classes, channels: None leaves it to the net.
        class_names: in the order of labels; empty if the classes have no names.
    """

    classes: int | None
    channels: int | None
    class_names: tuple[str, ...] = ()


class DataSet(ABC):
    """One value of `data.name`.

    Attributes:
        name: in settings.
        unused: fields of `data` that have no effect.
    """

    name: ClassVar[str]
    unused: ClassVar[tuple[str, ...]]

    @abstractmethod
    def facts(self, settings: DataConfig) -> Facts:
        """What is known without torch; reads at most a list of classes. What missing files would say is None."""

    @abstractmethod
    def check(self, settings: DataConfig) -> str | None:
        """Whether `open` would succeed on this machine; reads little and fetches nothing.

        Returns:
            What `open` will have to do first, in a line; None where the data is there.

        Raises:
            UsageError: the data is missing, with what to do.
        """

    @abstractmethod
    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        """Read, fetch or make the data.

        Args:
            table: whose input shape synthetic images take.
            rng: owner of synthetic images' random numbers.
            device: where batches are wanted.

        Raises:
            UsageError: files are missing or damaged.
        """
