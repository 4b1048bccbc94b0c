"""Reads of files, and of pieces of many files by many threads, on disks that fail now and then."""

import errno
import os
import resource
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from alexnet_dist.data.imagenet.decode import Unreadable
from alexnet_dist.errors import RankFailed

T = TypeVar("T")

PAUSES = (0.0, 1.0, 5.0)  # seconds before a read is tried again
# Errors that stay the same at the next try and on every rank: the file is at fault, not the disk.
LASTING = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
OTHER_FILES = 256  # that the rest of the program may have open
UNOPENED = -1
REMOVED = (-1, -1)
RESTORE = "put it back as it was, and resume"
Numbers = NDArray[np.int64]
State = tuple[int, int] | None  # of a file: its size, and when it was last written; None: the disk does not say


def patiently(read: Callable[[], T]) -> T:
    """What `read` returns; where the disk fails, it is called again after a pause.

    Raises:
        Unreadable: the file is missing, or may not be read.
        RankFailed: the disk goes on failing. Ranks would be given different samples if one passed over this one.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return read()
        except OSError as error:
            if error.errno in LASTING:
                raise Unreadable(error.strerror or str(error)) from None
            if (pause := next(pauses, None)) is None:
                where = error.filename or "data.root"
                raise RankFailed(f"{where}: {error.strerror}, {len(PAUSES)} times more") from None
            time.sleep(pause)


class RandomReads:
    """Files that are read piece by piece.

    A file is opened when it is first read and stays open, if the process may have that many open. It must stay as it
    was when this object was made: a table says where its samples are, and a changed file may hold something else there.

    Args:
        paths: the files; below they go by their numbers in this list.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._stay_open = _may_open(len(paths) + OTHER_FILES)
        self._descriptors = np.full(len(paths), UNOPENED)
        self._found = [_state(path) for path in paths]
        self._lock = threading.Lock()
        weakref.finalize(self, _close, self._descriptors)

    def read(self, file: int, offset: int, length: int) -> bytearray:
        """A piece of a file.

        Raises:
            Unreadable: the file is missing, may not be read, or ends before.
            RankFailed: the disk fails, or the file has changed (see `check`).
        """
        buffer = bytearray(length)
        self.read_into(file, offset, memoryview(buffer))
        return buffer

    def read_into(self, file: int, offset: int, target: memoryview) -> None:
        """Fill `target` with a piece of a file; as `read`."""
        try:
            self._fill(file, offset, target)
        finally:
            self.check((file,))

    def check(self, files: Iterable[int]) -> None:
        """Look at files again, after they were read.

        Raises:
            RankFailed: one was changed or cut short, or was removed and is not open.
        """
        numbers = list(set(files))
        for file, descriptor in zip(numbers, self._descriptors[numbers].tolist(), strict=True):
            opened = None if descriptor == UNOPENED else _state(descriptor)
            before, now = self._found[file], opened or _state(self.paths[file])
            if None not in (before, now) and before != now:
                what = "removed" if now == REMOVED else "changed"
                raise RankFailed(f"{self.paths[file]}: was {what} while it was in use: {RESTORE}")

    def descriptors(self, files: Numbers) -> Numbers | None:
        """Of files that stay open as long as this object does; None where one does not, or cannot be opened."""
        if not self._stay_open:
            return None
        found = self._descriptors[files]
        if UNOPENED in found:
            try:
                return np.array([self._descriptor(file) for file in files.tolist()])
            except OSError:
                return None
        return found

    def _fill(self, file: int, offset: int, target: memoryview) -> None:
        try:
            if self._stay_open:
                _fill(self._descriptor(file), offset, target)
                return
        except OSError:
            pass  # a network file system may have lost the file's handle: it is opened anew
        patiently(lambda: self._fill_newly_opened(file, offset, target))

    def _fill_newly_opened(self, file: int, offset: int, target: memoryview) -> None:
        descriptor = os.open(self.paths[file], os.O_RDONLY)
        try:
            _fill(descriptor, offset, target)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(self.paths[file])) from None
        finally:
            os.close(descriptor)

    def _descriptor(self, file: int) -> int:
        with self._lock:
            if self._descriptors[file] == UNOPENED:
                self._descriptors[file] = os.open(self.paths[file], os.O_RDONLY)
            return int(self._descriptors[file])


def _state(place: Path | int) -> State:
    """Of a path or a descriptor."""
    try:
        found = os.stat(place)
        return found.st_size, found.st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return REMOVED
    except OSError:
        return None


def _fill(descriptor: int, offset: int, target: memoryview) -> None:
    done = 0
    while done < len(target):
        count = os.preadv(descriptor, [target[done:]], offset + done)
        if count == 0:
            raise Unreadable("the file ends too early")
        done += count


def _may_open(files: int) -> bool:
    """Whether this process may have that many files open; its limit is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        return True
    if soft < files <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        return True
    return soft >= files


def _close(descriptors: Numbers) -> None:
    for descriptor in descriptors[descriptors != UNOPENED].tolist():
        os.close(descriptor)
