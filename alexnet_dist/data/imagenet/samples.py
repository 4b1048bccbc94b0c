"""Image files as samples: of any size, read and decoded when they are asked for."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import final

import torch
from torch import Tensor

from alexnet_dist.data.dataset import Boxes, LargeSamples
from alexnet_dist.data.imagenet.batches import BatchReader
from alexnet_dist.data.imagenet.decode import Encoded, Pixels, Unreadable
from alexnet_dist.data.imagenet.random_reads import Numbers
from alexnet_dist.data.imagenet.resizing import part, whole
from alexnet_dist.data.imagenet.sources import Source


@final
class ImageSamples(LargeSamples):
    """Image files of one part.

    Args:
        source: where they are.
        reader: makes the batches.
        size: of what `batch` gives.
    """

    def __init__(self, source: Source, reader: BatchReader, size: int) -> None:
        self._source, self._reader, self._size = source, reader, size

    @property
    def labels(self) -> Numbers:
        return self._reader.labels

    def __len__(self) -> int:
        return len(self._source)

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        def fill(row: int, number: int, pixels: Pixels) -> None:
            pixels[:] = whole(Encoded(self._source.read(number)), self._size)

        return self._reader.batch(ids, self._size, fill)

    def cropped(self, ids: Tensor, boxes: Boxes, size: int) -> tuple[Tensor, Tensor]:
        def fill(row: int, number: int, pixels: Pixels) -> None:
            image = Encoded(self._source.read(number))
            pixels[:] = part(image, _boxes_of(boxes, range(row, row + 1), [image])[0], size)

        def fill_many(rows: range, numbers: Numbers, pixels: Pixels) -> int:
            images = list(self._readable(numbers[rows.start : rows.stop].tolist()))
            found = rows[: len(images)]
            places = _boxes_of(boxes, found, images)
            for count, (row, image, place) in enumerate(zip(found, images, places, strict=True)):
                try:
                    pixels[row] = part(image, place, size)
                except Unreadable:
                    return count
            return len(images)

        return self._reader.batch(ids, size, fill, fill_many)

    def _readable(self, numbers: Sequence[int]) -> Iterator[Encoded]:
        """The files of samples, up to the first that cannot be read."""
        with suppress(Unreadable):
            for number in numbers:
                yield Encoded(self._source.read(number))


def _boxes_of(boxes: Boxes, rows: range, images: Sequence[Encoded]) -> list[tuple[int, int, int, int]]:
    sizes = torch.tensor([(image.height, image.width) for image in images], dtype=torch.int64).view(-1, 2)
    places: list[tuple[int, int, int, int]] = boxes(rows, sizes).tolist()
    return places
