"""Image files as samples: of any size, read and decoded when they are asked for."""

from contextlib import suppress
from typing import final

import torch
from torch import Tensor

from alexnet_dist.data.dataset import Boxes, LargeSamples
from alexnet_dist.data.imagenet.batches import BatchReader
from alexnet_dist.data.imagenet.decode import Encoded, Pixels, Unreadable
from alexnet_dist.data.imagenet.random_reads import Numbers
from alexnet_dist.data.imagenet.sources import Source
from alexnet_dist.data.imagenet.views import part, whole


@final
class ImageSamples(LargeSamples):
    """Image files of one part.

    Args:
        source: where they lie.
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
        numbers, images = ids.tolist(), self._opened(ids)
        sizes = torch.tensor([(image.height, image.width) if image else (1, 1) for image in images]).view(-1, 2)
        places = boxes(sizes).tolist()

        def fill(row: int, number: int, pixels: Pixels) -> None:
            image, place = images[row], places[row]
            if image is None or number != numbers[row]:  # it stands in for a broken one
                image = Encoded(self._source.read(number))
                one = sizes.clone()
                one[row] = torch.tensor([image.height, image.width])
                place = boxes(one)[row].tolist()
            pixels[:] = part(image, place, size)

        return self._reader.batch(ids, size, fill)

    def _opened(self, ids: Tensor) -> list[Encoded | None]:
        """Each sample's file, read; None where that fails, which filling its row will find again."""
        numbers = ids.tolist()
        images: list[Encoded | None] = [None] * len(ids)

        def read(rows: range) -> None:
            for row in rows:
                with suppress(Unreadable):
                    images[row] = Encoded(self._source.read(numbers[row]))

        self._reader.threads.share(len(ids), read)
        return images
