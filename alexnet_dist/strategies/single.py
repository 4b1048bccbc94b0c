"""One process, one device: what every other strategy is held against."""

from typing import final

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import About
from alexnet_dist.strategies.parts.module_engine import ModuleStrategy


@final
class Single(ModuleStrategy):
    name = "single"
    split_size = 1
    about = About(
        splits="nothing",
        moves="nothing",
        needs="one rank",
        right_where="one device is enough; what the others are held against",
    )

    @classmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        if world_size > 1:
            raise UsageError("strategy.name", "single", f"takes one rank, {world_size} were launched: use ddp or split")
