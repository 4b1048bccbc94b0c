"""Samples of a prepared data set: read from its shards and, where they are JPEG, decoded when they are asked for."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import simplejpeg
import torch
from torch import Tensor

from alexnet_dist.data.dataset import SquareSamples
from alexnet_dist.data.imagenet.batches import BatchReader
from alexnet_dist.data.imagenet.decode import Pixels, Unreadable
from alexnet_dist.data.imagenet.index import MEAN, Index
from alexnet_dist.data.imagenet.random_reads import RandomReads
from alexnet_dist.data.imagenet.sources import Numbers
from alexnet_dist.data.statistics import Statistics


@dataclass(frozen=True)
class Table:
    """Where the samples of one part lie.

    Attributes:
        rows: int64 (samples, 4): shard, offset, length, label; mapped, so that the ranks of a machine share its memory.
        shards: the files.
    """

    rows: Numbers
    shards: list[Path]

    @classmethod
    def of(cls, folder: Path, index: Index, part: str) -> "Table":
        files = index.parts[part]
        # As a plain array: indexing a memmap makes a new memmap each time.
        rows = np.asarray(np.load(folder / files.table.name, mmap_mode="r"))
        return cls(rows, [folder / shard.name for shard in files.shards])

    def name(self, number: int) -> str:
        """A sample's place, for messages."""
        shard, offset, length, _ = self.rows[number].tolist()
        return f"{self.shards[shard]}, {length} bytes at {offset}"


@final
class PreparedSamples(SquareSamples):
    """Images of one part, all of one size.

    Args:
        folder: the data set's.
        table: where they lie.
        reader: makes the batches.
    """

    def __init__(self, folder: Path, index: Index, table: Table, reader: BatchReader) -> None:
        self._mean_image, self._index = folder / MEAN, index
        self._rows, self._files, self._reader = table.rows, RandomReads(table.shards), reader
        self._fill = self._read if index.encoding.kind == "raw" else self._decode
        self._thread = threading.local()

    @property
    def labels(self) -> Numbers:
        return self._reader.labels

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> int:
        return self._index.encoding.size

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self._reader.batch(ids, self.size, self._fill)

    def squares(self, ids: Tensor, size: int, top: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        above, before = top.tolist(), left.tolist()

        def fill(row: int, number: int, pixels: Pixels) -> None:
            whole = self._image_of_thread()
            self._fill(row, number, whole)
            pixels[:] = whole[above[row] : above[row] + size, before[row] : before[row] + size]

        return self._reader.batch(ids, size, fill)

    def _image_of_thread(self) -> Pixels:
        """Room for a whole image, which stays in a core's cache."""
        if not hasattr(self._thread, "image"):
            self._thread.image = np.empty((self.size, self.size, 3), np.uint8)
        image: Pixels = self._thread.image
        return image

    def statistics(self) -> Statistics:
        mean_image = torch.from_numpy(np.load(self._mean_image)).permute(2, 0, 1).float().contiguous()
        return Statistics(mean_image, torch.tensor(self._index.covariance, dtype=torch.float64))

    def _read(self, row: int, number: int, pixels: Pixels) -> None:
        shard, offset, _, _ = self._rows[number].tolist()
        self._files.read_into(shard, offset, memoryview(pixels.data).cast("B"))

    def _decode(self, row: int, number: int, pixels: Pixels) -> None:
        shard, offset, length, _ = self._rows[number].tolist()
        try:
            simplejpeg.decode_jpeg(self._files.read(shard, offset, length), "RGB", buffer=pixels)
        except ValueError as error:
            raise Unreadable(str(error)) from None
