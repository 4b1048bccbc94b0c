"""Samples of a prepared data set: read from its shards and, where they are JPEG, decoded when they are asked for."""

import threading
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import final

import numpy as np
import simplejpeg
import torch
from torch import Tensor

from alexnet_dist.data.dataset import SquareSamples
from alexnet_dist.data.imagenet.batches import BatchReader, FillMany
from alexnet_dist.data.imagenet.decode import Pixels, Unreadable
from alexnet_dist.data.imagenet.index import MEAN, Index, Part
from alexnet_dist.data.imagenet.random_reads import Numbers, RandomReads
from alexnet_dist.data.imagenet.shard_reads import ShardReads
from alexnet_dist.data.statistics import Statistics
from alexnet_dist.errors import UsageError, message_of


@dataclass(frozen=True)
class SampleTable:
    """Where the samples of one part are.

    Attributes:
        rows: int64 (samples, 4): shard, offset, length, label. Not mapped: the kernel ends a process whose mapped file
            is cut short.
        shards: the files.
    """

    rows: Numbers
    shards: list[Path]

    @classmethod
    def of(cls, folder: Path, index: Index, part: str) -> "SampleTable":
        """Read the table of a part.

        Raises:
            UsageError: its file is damaged.
        """
        files, path = index.parts[part], folder / index.parts[part].table.name
        try:
            rows = read_table(path, files, len(index.classes))
        except (OSError, ValueError) as problem:
            raise UsageError("data.root", path, f"{message_of(problem)}: see alexnet-dist data verify") from None
        return cls(rows, [folder / shard.name for shard in files.shards])

    def name(self, number: int) -> str:
        """A sample's place, for messages."""
        shard, offset, length, _ = self.rows[number].tolist()
        return f"{self.shards[shard]}, {length} bytes at {offset}"


def read_table(path: Path, part: Part, classes: int) -> Numbers:
    """A part's table.

    Raises:
        ValueError: samples have their place outside their shard, or a label that has no class; or it is no table.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            rows: Numbers = np.lib.format.read_array(file)
    except (EOFError, ValueError, MemoryError, TokenError) as error:  # as numpy reads a damaged header
        raise ValueError(f"cannot be read ({error})") from None
    if rows.shape != (part.samples, 4) or rows.dtype != np.int64:
        raise ValueError(f"has {rows.dtype} {rows.shape}, not int64 ({part.samples}, 4)")
    shard, offset, length, label = rows.T
    ends = np.array([file.bytes for file in part.shards], np.int64)
    wrong = (shard < 0) | (shard >= len(ends)) | (offset < 0) | (length < 0) | (label < 0) | (label >= classes)
    wrong |= offset + length > ends[np.where(wrong, 0, shard)] if len(ends) else True
    if wrong.any():
        raise ValueError(f"{int(wrong.sum())} of {len(wrong)} entries are wrong")
    return rows


@final
class PreparedSamples(SquareSamples):
    """Images of one part, all of one size.

    Args:
        folder: the data set's.
        table: where they are.
        reader: makes the batches.
    """

    def __init__(self, folder: Path, index: Index, table: SampleTable, reader: BatchReader) -> None:
        self._mean_image, self._index = folder / MEAN, index
        self._rows, self._files, self._reader = table.rows, RandomReads(table.shards), reader
        self._reads = ShardReads(self._files, self.size)
        self._is_raw = index.encoding.kind == "raw"
        self._fill = self._read if self._is_raw else self._decode
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
        return self._reader.batch(ids, self.size, self._fill, self._fill_many(torch.zeros(len(ids), 3).long()))

    def squares(self, ids: Tensor, size: int, cuts: Tensor) -> tuple[Tensor, Tensor]:
        places = cuts.tolist()

        def fill(row: int, number: int, pixels: Pixels) -> None:
            whole = self._image_of_thread()
            self._fill(row, number, whole)
            top, left, is_mirrored = places[row]
            square = whole[top : top + size, left : left + size]
            pixels[:] = torch.from_numpy(square).flip(1).numpy() if is_mirrored else square

        return self._reader.batch(ids, size, fill, self._fill_many(cuts))

    def _fill_many(self, cuts: Tensor) -> FillMany:
        listed = cuts.tolist()

        def raw(rows: range, numbers: Numbers, pixels: Pixels) -> int:
            some = slice(rows.start, rows.stop)
            return self._reads.raw_squares(self._rows[numbers[some]], cuts[some].numpy(), pixels[some])

        def jpeg(rows: range, numbers: Numbers, pixels: Pixels) -> int:
            whole, size = self._image_of_thread(), pixels.shape[1]
            image, first = whole.ctypes.data, pixels.ctypes.data
            contents = self._reads.contents(self._rows[numbers[rows.start : rows.stop]])
            for count, (row, encoded) in enumerate(zip(rows, contents, strict=False)):
                try:
                    simplejpeg.decode_jpeg(encoded, "RGB", buffer=whole)
                except ValueError:
                    return count
                self._reads.cut(image, listed[row], size, first + row * pixels.strides[0])
            return len(contents)

        return raw if self._is_raw else jpeg

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
