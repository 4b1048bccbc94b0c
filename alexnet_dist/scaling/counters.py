"""What one rank of a run does, counted from outside: random words, lines of Python, what is written."""

import io
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from alexnet_dist.rng import Rng


class CountingRng(Rng):
    """Random numbers that are counted.

    Attributes:
        drawn: 64-bit words by position, so far.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.drawn = 0

    def words(self, purpose: str, time: int | Tensor, rows: Tensor, columns: range) -> Tensor:
        self.drawn += len(rows) * len(columns)
        return super().words(purpose, time, rows, columns)


class LineCounter:
    """Counts the lines of Python that run, in all threads that start from now on. A loop on one line counts with every
    turn.

    Attributes:
        lines: so far.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._counts = False
        threading.settrace(self)

    def start(self) -> None:
        """Count, in this thread from the next call of a function on."""
        self._counts = True
        sys.settrace(self)

    def stop(self) -> None:
        self._counts = False
        sys.settrace(None)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "LineCounter":
        if event == "line" and self._counts:
            self.lines += 1
        return self


class PrintedLines(io.StringIO):
    """A standard output that keeps nothing.

    Attributes:
        lines: printed so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
