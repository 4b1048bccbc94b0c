"""Reads of shards by compiled code: many in one call, which does not hold Python's lock meanwhile.

Threads that each take the lock several times an image lose much of their time to handing it over.
"""

from ctypes import c_int64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet_dist.compiled import compiled
from alexnet_dist.data.imagenet.decode import Pixels
from alexnet_dist.data.imagenet.random_reads import Numbers, RandomReads

SOURCE = Path(__file__).with_name("shard_reads.cpp")
# The arguments of its functions: c_int64 for numbers, c_void_p for arrays.
READ_PIECES = (c_int64, c_void_p, c_void_p, c_void_p)
CUT_SQUARE = (c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64, c_void_p)
RAW_SQUARES = (c_int64, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p)


class ShardReads:
    """Reads samples of one part. Arrays are in C's order.

    Args:
        files: the shards.
        side: height and width of the images.
    """

    def __init__(self, files: RandomReads, side: int) -> None:
        self._files, self._side = files, side
        self._library, _ = compiled(SOURCE)
        if self._library is not None:
            self._read_pieces = _function(self._library.read_pieces, READ_PIECES, c_int64)
            self._cut_square = _function(self._library.cut_square, CUT_SQUARE, None)
            self._raw_squares = _function(self._library.raw_squares, RAW_SQUARES, c_int64)

    def contents(self, places: Numbers) -> list[NDArray[np.uint8]]:
        """The contents of samples, before the first that cannot be read; of none where nothing can be compiled.

        Args:
            places: (samples, 4), rows of the part's table.

        Raises:
            RankFailed: see `RandomReads.check`.
        """
        files = self._descriptors(places)
        if files is None:
            return []
        ends = np.cumsum(places[:, 2]).tolist()
        buffer = np.empty(ends[-1] if ends else 0, np.uint8)
        count = self._read_pieces(len(places), files.ctypes.data, places.ctypes.data, buffer.ctypes.data)
        self._files.check(places[:, 0].tolist())
        return [buffer[start:end] for start, end in zip([0, *ends], ends[:count], strict=False)]

    def cut(self, image: int, cut: tuple[int, int, int], size: int, target: int) -> None:
        """Copy a square of an image; to be called where `contents` has given something.

        Args:
            image, target: addresses of (side, side, 3) and (size, size, 3).
            cut: see `SquareSamples.squares`.
        """
        self._cut_square(image, self._side, *cut, size, target)

    def raw_squares(self, places: Numbers, cuts: Numbers, pixels: Pixels) -> int:
        """Read squares of images that are stored as pixels.

        Args:
            places: (images, 4), rows of the part's table.
            cuts: (images, 3), see `SquareSamples.squares`.
            pixels: (images, size, size, 3), to be filled.

        Returns:
            How many were read: those before the first that cannot be; none where nothing can be compiled.

        Raises:
            RankFailed: see `RandomReads.check`.
        """
        files = self._descriptors(places)
        if files is None:
            return 0
        images, size = pixels.shape[:2]
        given = (array.ctypes.data for array in (files, places, cuts))
        count: int = self._raw_squares(images, *given, self._side, size, pixels.ctypes.data)
        self._files.check(places[:, 0].tolist())
        return count

    def _descriptors(self, places: Numbers) -> Numbers | None:
        return None if self._library is None else self._files.descriptors(places[:, 0])


def _function(function: Any, arguments: tuple[type, ...], result: type | None) -> Any:
    function.argtypes, function.restype = arguments, result
    return function
