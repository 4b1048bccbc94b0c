"""The files that shards are: a .tar of JPEG files, or a .npy of pixels; the same bytes whoever writes them."""

import tarfile
from abc import ABC, abstractmethod
from typing import BinaryIO, final

import numpy as np

from alexnet_dist.data.imagenet.index import Encoding


class ShardFile(ABC):
    """Writes one shard into an open file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @abstractmethod
    def add(self, name: str, contents: bytes) -> int:
        """Append a sample; returns where its contents begin."""

    @abstractmethod
    def finish(self) -> None: ...


@final
class TarShard(ShardFile):
    def add(self, name: str, contents: bytes) -> int:
        entry = tarfile.TarInfo(name)  # owner, mode and time are always the same
        entry.size = len(contents)
        self._file.write(entry.tobuf(tarfile.PAX_FORMAT))
        offset = self._file.tell()
        self._file.write(contents)
        self._file.write(bytes(-len(contents) % tarfile.BLOCKSIZE))
        return offset

    def finish(self) -> None:
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))


@final
class NpyShard(ShardFile):
    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file)
        self._size, self._images = size, 0
        self._write_header()

    def add(self, name: str, contents: bytes) -> int:
        offset = self._file.tell()
        self._file.write(contents)
        self._images += 1
        return offset

    def finish(self) -> None:
        self._file.seek(0)
        self._write_header()  # of the same length: numpy leaves room for a larger number

    def _write_header(self) -> None:
        shape = (self._images, self._size, self._size, 3)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def new_shard(file: BinaryIO, encoding: Encoding) -> ShardFile:
    return NpyShard(file, encoding.size) if encoding.kind == "raw" else TarShard(file)


def suffix(encoding: Encoding) -> str:
    return "npy" if encoding.kind == "raw" else "tar"
