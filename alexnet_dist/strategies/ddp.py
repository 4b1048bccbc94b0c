"""Data parallelism: every rank holds the whole net, trains on its part of the batch, and gradients are summed."""

from typing import final

from alexnet_dist import registry
from alexnet_dist.config.schema import Experiment
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.check import refuse_one_rank
from alexnet_dist.strategies.parts.module_strategy import ModuleStrategy


@final
class Ddp(ModuleStrategy):
    name = "ddp"
    splits = "the batch"
    moves = "gradients, summed: 2(N-1)/N W"
    needs = "two ranks or more"
    right_where = "the net fits on a device and links are fast; large batches"

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        refuse_one_rank(self.name, world_size)


registry.strategies.register(Ddp())
