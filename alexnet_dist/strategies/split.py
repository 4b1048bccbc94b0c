"""The two-GPU design of 2012: each rank of a pair holds half of every layer, and towers exchange activations.

Four ranks and more are replicas of the pair. Ranks 2i and 2i + 1 are one pair, so that a pair shares a node.
"""

from typing import final

from alexnet_dist import registry
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.check import refuse_compile
from alexnet_dist.strategies.parts.cut_check import check_cut
from alexnet_dist.strategies.parts.module_strategy import ModuleStrategy


@final
class Split(ModuleStrategy):
    name = "split"
    splits = "every layer in two, the batch over pairs"
    moves = "activations, with the batch; gradients of half a net between pairs"
    needs = "an even number of ranks"
    right_where = "batches are small or links slow: what crosses does not grow with the net"
    split_size = 2

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        if world_size % 2:
            raise UsageError(
                "strategy.name", "split", f"pairs ranks, {world_size} cannot be paired: launch an even number"
            )
        check_cut(table, self.split_size)
        refuse_compile(experiment, "exchanges activations between layers, which would escape the traffic counter")


registry.strategies.register(Split())
