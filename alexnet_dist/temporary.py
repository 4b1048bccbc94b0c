"""Temporary folders that are gone when the program ends, also where a signal ends it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP interrupt the program as Ctrl-C does, so that what is temporary is deleted.

    A signal that is handled or ignored already keeps its handler; threads other than the main one cannot set any.
    """
    in_main = threading.current_thread() is threading.main_thread()
    taken = [number for number in _ENDING if in_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def temporary_folder(prefix: str = "tmp", within: Path | None = None) -> Iterator[Path]:
    """A new folder, deleted at the end.

    Args:
        within: the folder to make it in; None: where temporary files go.
    """
    with interruptible(), TemporaryDirectory(prefix=prefix, dir=within) as name:
        yield Path(name)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
