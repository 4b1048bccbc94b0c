"""Ends a process whose main thread makes no progress, since nothing else can.

Over gloo a rank waits for others in Python, and gets an error when its time is up. Over NCCL the device waits; the host
goes on until the device's queue is full, and then waits in the driver, where no exception and no signal's handler
reaches it. In the end NCCL kills the process, and nobody is told which rank did not answer.
"""

import time
from collections.abc import Callable
from threading import Thread

BACKENDS = frozenset({"nccl"})  # that let the device wait
# Beyond the time that a rank may keep others waiting; less than NCCL has (`bring_up.NCCL_GRACE`).
GRACE_SECONDS = 20.0
_LOOK_SECONDS = 1.0


class ProgressLimit:
    """Watches the main thread from another one, between `progress` and `rest`.

    Args:
        seconds: after which it makes no progress.
        end: called with the seconds that have passed, each second anew: is to end the process.
    """

    def __init__(self, seconds: Callable[[], float], end: Callable[[float], None]) -> None:
        self._seconds, self._end = seconds, end
        self._marks, self._rests = 0, True  # written by the main thread only
        Thread(target=self._watch, name="progress limit", daemon=True).start()

    def progress(self) -> None:
        """The main thread goes on, and is watched from now on."""
        self._marks += 1
        self._rests = False

    def rest(self) -> None:
        """What follows may take as long as it likes."""
        self._rests = True

    def _watch(self) -> None:
        seen, passed = 0, 0.0
        while True:
            time.sleep(_LOOK_SECONDS)
            if self._rests or self._marks != seen:
                seen, passed = self._marks, 0.0
                continue
            passed += _LOOK_SECONDS  # counted, not read from a clock, which goes on while a job is suspended
            if passed > self._seconds():
                self._end(passed)
