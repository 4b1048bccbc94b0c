"""One process, one device: what every other strategy is held against."""

from typing import final

from alexnet_dist.config.experiment import Experiment
from alexnet_dist.errors import Refusal
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.plain import PlainStrategy


@final
class Single(PlainStrategy):
    name = "single"
    split_size = 1

    @classmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        if world_size > 1:
            raise Refusal("strategy.name", "single", f"takes one rank, {world_size} were launched: use ddp or split")
