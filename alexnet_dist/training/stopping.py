"""Stopping on request: a signal to this rank, or to its launcher. `training.rounds` tells the other ranks."""

import os
import signal
from types import FrameType

from alexnet_dist.errors import FAILED
from alexnet_dist.launcher.control_folder import STOP, control_folder
from alexnet_dist.launcher.signals import StopRequests, stop_signals

ASKED, ORPHANED = "asked to stop", "the launcher is gone: stopped"


class StopSignal:
    """Tells whether this rank should stop, and why. A second signal ends it at once.

    It should also stop when its launcher is gone: SIGUSR1 kills `accelerate launch` and does not reach its workers.

    Args:
        parent: process id of this rank's launcher, as it was when the rank was started.
    """

    def __init__(self, parent: int) -> None:
        self._requests = StopRequests()
        self._parent = parent
        folder = control_folder()
        self._file = folder / STOP if folder is not None else None
        for number in stop_signals():
            signal.signal(number, self._receive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())  # `alexnet-dist launch` blocks them until now

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._requests.asks_again(number):
            os._exit(FAILED)

    def reason(self) -> str:
        """Why this rank should stop; empty: it should not. Reads the disk: not to be called in every step."""
        launcher_asks = self._file is not None and self._file.exists()
        if self._requests.came or launcher_asks:
            return ASKED
        return ORPHANED if os.getppid() != self._parent else ""
