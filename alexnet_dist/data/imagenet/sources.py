"""Where the samples of one part are: in the files of a folder or in archives.

A list of 1.28 million takes 50 to 70 MB: names are kept as one string, places as arrays.
"""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np

from alexnet_dist.data.imagenet.decode import Unreadable
from alexnet_dist.data.imagenet.random_reads import RESTORE, Numbers, RandomReads, patiently
from alexnet_dist.errors import RankFailed


class Names:
    """A list of strings, kept as one."""

    def __init__(self, names: Sequence[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)

    def __getitem__(self, index: int) -> str:
        start = int(self._ends[index - 1]) if index else 0
        return os.fsdecode(self._bytes[start : int(self._ends[index])])


class Source(ABC):
    """The samples of one part, by number.

    Args:
        names: a path by sample, for messages and archives.
        labels: by sample.
    """

    def __init__(self, names: Sequence[str], labels: Sequence[int] | Numbers) -> None:
        self._names = Names(names)
        self.labels = np.asarray(labels, np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        return self._names[index]

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The contents of a sample's file.

        Raises:
            Unreadable: the file is a link that leads nowhere, may not be read, or ends early.
            RankFailed: the disk fails, or the file was removed since the samples were listed.
        """


@final
class Files(Source):
    """Image files.

    Args:
        root: the folder that `names` start from.
    """

    def __init__(self, root: Path, names: Sequence[str], labels: Sequence[int] | Numbers) -> None:
        super().__init__(names, labels)
        self._root = os.fspath(root)

    def read(self, index: int) -> bytes:
        return patiently(lambda: self._read(index))

    def _read(self, index: int) -> bytes:
        path = os.path.join(self._root, self.name(index))
        try:
            with open(path, "rb", buffering=0, opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise Unreadable("no file, but a pipe or a device")
                return file.read()
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(path):  # not just a link to nothing
                raise RankFailed(f"{path}: was removed while it was in use: {RESTORE}") from None
            raise OSError(error.errno, error.strerror, path) from None


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; opening a pipe would wait for somebody to write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


@final
class Members(Source):
    """Members of archives that are not compressed.

    Args:
        archives: the files.
        places: int64 (samples, 3): which archive, where in it the contents begin, how long they are.
    """

    def __init__(
        self, archives: Sequence[Path], places: Numbers, names: Sequence[str], labels: Sequence[int] | Numbers
    ) -> None:
        super().__init__(names, labels)
        self._files, self._places = RandomReads(archives), places

    def read(self, index: int) -> bytes:
        return bytes(self._files.read(*self._places[index].tolist()))
