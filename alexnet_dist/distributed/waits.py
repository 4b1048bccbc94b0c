"""Notices when this process waits for a collective.

A step takes the same time on all ranks, because each waits for the slowest one in the collectives. A rank's own time
shows only when that waiting is subtracted, wherever it happens: here, in torch or in DeepSpeed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch.distributed as dist

_around: Callable[[], AbstractContextManager[None]] | None = None
_thread = threading.local()


def watch_waits(around: Callable[[], AbstractContextManager[None]]) -> None:
    """From now on, this process waits for collectives inside `around()`; a later call replaces an earlier one.

    torch has no hook for this. All Python code waits in `Work.wait`; DDP's waiting in C++ is not seen.
    """
    global _around
    if _around is None:
        wait: Callable[..., Any] = dist.Work.wait

        def watched(work: dist.Work, *limits: Any) -> Any:
            with nullcontext() if _around is None or is_unwatched() else _around():
                return wait(work, *limits)

        dist.Work.wait = watched  # type: ignore[assignment, method-assign]
    _around = around


def is_unwatched() -> bool:
    """Whether this thread communicates beside the training."""
    return getattr(_thread, "unwatched", False)


@contextmanager
def unwatched() -> Iterator[None]:
    """Inside, this thread's waiting is not noticed: another thread computes meanwhile, and is not delayed."""
    _thread.unwatched = True
    try:
        yield
    finally:
        _thread.unwatched = False
