"""Stopping on request: a signal to any rank, or to the launcher, stops all ranks at the same step."""

import os
import signal
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from alexnet_dist.distributed.mesh import World
from alexnet_dist.launcher.control_folder import STOP, control_folder
from alexnet_dist.launcher.exit_status import FAILED

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopSignal:
    """One vote a step; a rank that was asked to stop votes for it, and one such vote is enough.

    The outcome of a vote is learnt in the next one, so that no rank ever waits for it. A process whose launcher is
    gone wants to stop, too: SIGUSR1 kills `accelerate launch` and tells its workers nothing.

    Args:
        world: the ranks.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked_by: str | None = None
        self._parent = os.getppid()
        folder = control_folder()
        self._file = folder / STOP if folder is not None else None
        self._ballot: tuple[Any, torch.Tensor] | None = None
        for number in SIGNALS:
            signal.signal(number, self._heard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # blocked by `alexnet-dist launch` until now

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._asked_by is not None:
            os._exit(FAILED)  # asked twice: at once
        self._asked_by = signal.Signals(number).name

    def cast(self) -> bool:
        """Vote. Collective.

        Returns:
            The outcome of the vote before this one, the same on every rank; of this one where there is one rank.
        """
        wish = self._wish()
        if self._world.control is None:
            return wish
        outcome = self.close()
        ballot = torch.tensor(wish, dtype=torch.uint8)
        work = dist.all_reduce(ballot, dist.ReduceOp.MAX, group=self._world.control, async_op=True)
        self._ballot = work, ballot
        return outcome

    def close(self) -> bool:
        """Wait for the outcome of the last vote. Collective."""
        if self._ballot is None:
            return False
        work, ballot = self._ballot
        self._ballot = None
        work.wait()
        return bool(ballot)

    def _wish(self) -> bool:
        told = self._file is not None and self._file.exists()
        return self._asked_by is not None or told or os.getppid() != self._parent
