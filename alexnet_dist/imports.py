"""Importing what is large, and what a Ctrl-C meanwhile does."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from alexnet_dist.errors import INTERRUPTED, UsageError


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import torch and Accelerate inside, a sixth faster: what they bring lives for ever, and the garbage collector
    would look through it again and again while it comes.

    A Ctrl-C ends the program: an exception in the midst of an import is an abort in some libraries.

    Raises:
        UsageError: a variable that one of them reads makes no sense.
    """
    handler = signal.getsignal(signal.SIGINT)
    watched = handler is signal.default_int_handler
    if watched:
        signal.signal(signal.SIGINT, _leave)
    gc.disable()
    try:
        yield
    except ValueError as error:
        raise UsageError(
            "environment", error, "torch and Accelerate read such variables: correct or unset it"
        ) from error
    finally:
        gc.freeze()
        gc.enable()
        if watched:
            signal.signal(signal.SIGINT, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)
