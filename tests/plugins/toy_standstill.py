"""Ranks that wait as on GPUs over NCCL. In step 21 the first one's main thread stands still, where no time limit of a
group reaches it; the second one is stopped or, where TOY_WAITS_FOR_DATA is set, gets no batch.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from alexnet_dist.config.schema import DataConfig, OptimConfig
from alexnet_dist.data.dataset import DataSet, Facts, Parts, Samples
from alexnet_dist.distributed import progress_limit
from alexnet_dist.registry import data_sets, schedules
from alexnet_dist.training.schedules import Position, Schedule

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

STEPS = 20
BEFORE = 2  # batches that are read before the first step
progress_limit.DEVICE_WAITS = frozenset({"gloo"})
progress_limit.GRACE_SECONDS = 1.0


def wait_for_ever() -> None:
    while True:
        time.sleep(60)


class Standstill(Schedule):
    name = "toy_standstill"

    def rate(self, settings: OptimConfig, position: Position) -> float:
        if position.step == STEPS and os.environ["RANK"] == "0":
            wait_for_ever()
        if position.step == STEPS and "TOY_WAITS_FOR_DATA" not in os.environ:
            os.kill(os.getpid(), signal.SIGSTOP)
        return settings.lr


class Held(Samples):
    """Grey images."""

    batches = 0

    def __len__(self) -> int:
        return 1000

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        self.batches += 1
        held = "TOY_WAITS_FOR_DATA" in os.environ and os.environ["RANK"] == "1"
        if held and self.batches > BEFORE + STEPS + 1:
            wait_for_ever()
        return (ids % 256).byte().view(-1, 1, 1, 1).repeat(1, 1, 20, 20), ids % 10


class HeldData(DataSet):
    name = "toy_standstill"
    unused = ("root",)

    def facts(self, settings: DataConfig) -> Facts:
        return Facts(classes=10, channels=1)

    def check(self, settings: DataConfig) -> None:
        """Nothing can be missing."""

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        return Parts(Held(), Held())


schedules.register(Standstill())
data_sets.register(HeldData())
