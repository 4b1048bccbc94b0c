"""Output that can be lost: a terminal that closes, a pipe that nobody reads, a log on a full disk. A program runs to
its end whether or not its output could be written."""

import errno
import io
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

_GONE = (errno.EPIPE, errno.EIO, errno.ENXIO)


class _LosableFile(io.FileIO):
    """Writes to a descriptor and drops what it does not take.

    Once the reader is gone the descriptor leads to /dev/null, also for libraries and child processes.

    Attributes:
        refusal: why something was not written although there is a reader, such as a full disk.
    """

    refusal: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError as error:
            written = None
            if error.errno in _GONE:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self.fileno())
                os.close(null)
            else:
                self.refusal = error
        return memoryview(data).nbytes if written is None else written


def survive_lost_output() -> None:
    """Make writing to stdout and stderr of this process never fail, whatever happens to their targets."""
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else the next file opened gets a closed stream's descriptor, and our lines
    os.close(free)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is getattr(sys, f"__{name}__"):  # else a caller takes the output
            setattr(sys, name, _stream(getattr(sys, name), descriptor))


def refused_output() -> OSError | None:
    """Why something on stdout was not written, if somebody reads it and it was not."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.refusal if isinstance(raw, _LosableFile) else None


def survive_empty_size(environment: MutableMapping[str, str]) -> None:
    """Unset COLUMNS and LINES where they are 0, as in some terminals and CI systems: nothing would be shown."""
    for name in ("COLUMNS", "LINES"):
        if name in environment and not environment[name].strip("0"):
            del environment[name]


def _stream(old: TextIO | None, descriptor: int) -> TextIO:
    if old is not None:
        old.flush()
    raw = _LosableFile(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if old is None else old.encoding,
        errors="backslashreplace",  # a terminal that cannot show a character shows its number
        line_buffering=descriptor == 2 or raw.isatty(),
    )
