"""Images of a source, made ready for a shard: resized, summed, encoded; pieces of a shard at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from alexnet_dist.data.imagenet.decode import Encoded, Pixels, Unreadable
from alexnet_dist.data.imagenet.index import Encoding
from alexnet_dist.data.imagenet.resizing import whole
from alexnet_dist.data.imagenet.sources import Source


@dataclass
class Sums:
    """Exact sums over images, which do not depend on the order in which they are added up.

    Attributes:
        images: how many.
        pixels: int64 (size, size, 3), over images.
        products: int64 (3, 3), of each two channels, over images and pixels.
    """

    images: int
    pixels: NDArray[np.int64]
    products: NDArray[np.int64]

    @classmethod
    def nothing(cls, size: int) -> "Sums":
        return cls(0, np.zeros((size, size, 3), np.int64), np.zeros((3, 3), np.int64))

    def add_image(self, pixels: Pixels) -> None:
        self.images += 1
        self.pixels += pixels
        flat = pixels.reshape(-1, 3).astype(np.float64)  # exact: its products stay far below 2^53
        self.products += (flat.T @ flat).astype(np.int64)

    def add(self, other: "Sums") -> None:
        self.images += other.images
        self.pixels += other.pixels
        self.products += other.products


@dataclass
class Piece:
    """Some images, ready for a shard.

    Attributes:
        numbers: of the samples that could be read.
        contents: of each, its JPEG file or its pixels.
        left_out: why the others could not be read, by number.
    """

    sums: Sums
    numbers: list[int] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)


def encode(source: Source, numbers: Sequence[int], encoding: Encoding) -> Piece:
    """Read and encode some samples.

    Raises:
        RankFailed: the disk fails.
    """
    piece = Piece(Sums.nothing(encoding.size))
    for number in numbers:
        try:
            pixels = whole(Encoded(source.read(number)), encoding.size)
        except Unreadable as error:
            piece.left_out[number] = str(error)
            continue
        pixels = np.ascontiguousarray(pixels)
        piece.sums.add_image(pixels)
        piece.numbers.append(number)
        piece.contents.append(_contents(pixels, encoding))
    return piece


def _contents(pixels: Pixels, encoding: Encoding) -> bytes:
    if encoding.kind == "raw":
        return pixels.tobytes()
    contents: bytes = simplejpeg.encode_jpeg(pixels, encoding.quality, "RGB", encoding.subsampling)
    return contents
