"""Importing what is large."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import torch and Accelerate inside, a sixth faster: what they bring lives for ever, and the garbage collector
    would look through it again and again while it comes."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
