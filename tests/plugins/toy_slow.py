"""A learning-rate schedule from outside the package that takes the last rank 100 ms in each step."""

import os
import time

from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.registry import schedules
from alexnet_dist.training.schedules import Position, Schedule


class Slow(Schedule):
    name = "toy_slow"

    def rate(self, settings: OptimConfig, position: Position) -> float:
        if int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1:
            time.sleep(0.1)
        return settings.lr


schedules.register(Slow())
