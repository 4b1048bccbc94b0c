"""Ends a process whose main thread is stuck where no exception reaches it.

Over gloo a rank waits for others in Python, and gets an error when its time is up. Over NCCL the device waits; the host
goes on until the device's queue is full, and then waits in the driver, where no exception and no signal's handler
reaches it. In the end NCCL kills the process, and nobody is told which rank did not answer.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Thread

from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.tree import Tree

DEVICE_WAITS = frozenset({"nccl"})  # backends whose collectives make the device wait, not the host
# Added to the time that a rank may keep others waiting; shorter than `bring_up.NCCL_GRACE`.
GRACE_SECONDS = 20.0
LOOK_SECONDS = 1.0


class ProgressLimit:
    """Limits how long a block of the main thread may take: `with limit: ...`. Another thread watches.

    Args:
        seconds: the limit.
        waits: whether the block waits for something else at this moment, which resets the time.
        end: called with the seconds passed, again at every look; should end the process.
    """

    def __init__(self, seconds: Callable[[], float], waits: Callable[[], bool], end: Callable[[float], None]) -> None:
        self._seconds, self._waits, self._end = seconds, waits, end
        self._blocks, self._inside = 0, False  # written by the main thread only
        Thread(target=self._watch, name="progress limit", daemon=True).start()

    def __enter__(self) -> None:
        self._blocks += 1
        self._inside = True

    def __exit__(self, *_: object) -> None:
        self._inside = False

    def _watch(self) -> None:
        seen, passed = 0, 0.0
        while True:
            time.sleep(LOOK_SECONDS)
            if not self._inside or self._waits() or self._blocks != seen:
                seen, passed = self._blocks, 0.0
                continue
            passed += LOOK_SECONDS  # counted, not read from a clock, which goes on while a job is suspended
            if passed > self._seconds():
                self._end(passed)


def limit_of(world: World, waits: Callable[[], bool], end: Callable[[float], None]) -> AbstractContextManager[None]:
    """A `ProgressLimit` where the world's backend lets the device wait for other ranks; else nothing."""
    if world.size == 1 or world.backend not in DEVICE_WAITS:
        return nullcontext()
    group = Tree(world.control)
    return ProgressLimit(lambda: group.limit.total_seconds() + GRACE_SECONDS, waits, end)
