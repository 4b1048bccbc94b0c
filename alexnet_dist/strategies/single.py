"""One process, one device: what every other strategy is compared with."""

from typing import final

from alexnet_dist import registry
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.parts.module_strategy import ModuleStrategy


@final
class Single(ModuleStrategy):
    name = "single"
    splits = "nothing"
    moves = "nothing"
    needs = "one rank"
    right_where = "one device is enough; what the others are compared with"

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        if world_size > 1:
            raise UsageError("strategy.name", "single", f"takes one rank, {world_size} were launched: use ddp or split")


registry.strategies.register(Single())
