"""Data parallelism: every rank holds the whole net, trains on its part of the batch, and gradients are summed."""

from typing import final

from alexnet_dist.config.experiment import Experiment
from alexnet_dist.errors import Refusal
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.plain import PlainStrategy


@final
class Ddp(PlainStrategy):
    name = "ddp"
    split_size = 1

    @classmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        if world_size < 2:
            raise Refusal(
                "strategy.name",
                "ddp",
                "needs two ranks or more, one was launched: "
                "accelerate launch --multi_gpu --num_processes 2, or strategy.name single",
            )
