"""Squares of images that are stored as pixels, read by compiled code, which does not hold Python's lock."""

from ctypes import c_int64, c_void_p
from pathlib import Path

from alexnet_dist.compiled import compiled
from alexnet_dist.data.imagenet.decode import Pixels
from alexnet_dist.data.imagenet.random_reads import Numbers, RandomReads

SOURCE = Path(__file__).with_name("raw_squares.cpp")


class RawSquares:
    """Reads squares of images, many in one call.

    Args:
        files: where the images are stored.
        side: their height and width.
    """

    def __init__(self, files: RandomReads, side: int) -> None:
        self._files, self._side = files, side
        library, _ = compiled(SOURCE)
        self._read = None if library is None else library["raw_squares"]
        if self._read is not None:
            self._read.argtypes = (c_int64, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p)
            self._read.restype = c_int64

    def read(self, places: Numbers, cuts: Numbers, pixels: Pixels) -> int:
        """
        Args:
            places: (images, 4), rows of the part's table; as all three, in C's order.
            cuts: (images, 3), see `SquareSamples.squares`.
            pixels: (images, size, size, 3), to be filled.

        Returns:
            How many images were read: those before the first that cannot be, and none where nothing can be compiled.
        """
        files = None if self._read is None else self._files.descriptors(places[:, 0])
        if self._read is None or files is None:
            return 0
        images, size = pixels.shape[:2]
        given = (array.ctypes.data for array in (files, places, cuts))
        count: int = self._read(images, *given, self._side, size, pixels.ctypes.data)
        return count
