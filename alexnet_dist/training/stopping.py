"""Stopping on request: a signal to any rank, or to the launcher, stops all ranks at the same step."""

import os
import signal
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from alexnet_dist.distributed.mesh import World
from alexnet_dist.errors import FAILED
from alexnet_dist.launcher.control_folder import STOP, control_folder
from alexnet_dist.launcher.signals import asks_again, stop_signals


class StopSignal:
    """Whether any rank was asked to stop; polled by all ranks once a step, with the same answer on each.

    The answer is that of the poll before, so that no rank waits for it. A rank whose launcher is gone counts as asked:
    SIGUSR1 kills `accelerate launch` and does not reach its workers.

    Args:
        world: the ranks.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._received: str | None = None
        self._parent = os.getppid()
        folder = control_folder()
        self._file = folder / STOP if folder is not None else None
        self._reduction: tuple[Any, torch.Tensor] | None = None
        for number in stop_signals():
            signal.signal(number, self._receive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())  # `alexnet-dist launch` blocks them until now

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and asks_again(number):
            os._exit(FAILED)  # at once
        self._received = signal.Signals(number).name

    def poll(self) -> bool:
        """Ask all ranks. Collective.

        Returns:
            Whether any rank had been asked to stop by the previous poll; with one rank, by this one.
        """
        if self._world.control is None:
            return self._is_asked()
        answer = self.finish()
        asked = torch.tensor(self._is_asked(), dtype=torch.uint8)
        work = dist.all_reduce(asked, dist.ReduceOp.MAX, group=self._world.control, async_op=True)
        self._reduction = work, asked
        return answer

    def finish(self) -> bool:
        """Wait for the answer of the last poll. Collective."""
        if self._reduction is None:
            return False
        work, asked = self._reduction
        self._reduction = None
        work.wait()
        return bool(asked)

    def _is_asked(self) -> bool:
        launcher_asks = self._file is not None and self._file.exists()
        return self._received is not None or launcher_asks or os.getppid() != self._parent
