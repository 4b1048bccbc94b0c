"""The strategies that `engines/module.py` runs: replicas of a net, each cut over `split_size` ranks or whole."""

from typing import ClassVar

from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.collectives import added, exchanged, sent_by_all_reduce
from alexnet_dist.costs.memory import Memory, even_memory
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import Strategy, norm_bytes, wire_bytes


class ModuleStrategy(Strategy):
    """All of a strategy but its facts and which worlds it accepts."""

    engine: ClassVar[str] = "alexnet_dist.strategies.engines.module:ModuleEngine"
    used = ("gradient_dtype", "communicate")

    def warnings(self, experiment: Experiment, world_size: int) -> list[str]:
        found, dtype = super().warnings(experiment, world_size), experiment.strategy.gradient_dtype
        if dtype is not None and world_size == self.split_size:
            found.append(f"strategy.gradient_dtype: {dtype} has no effect: with one replica no gradients are sent")
        if not experiment.strategy.communicate:
            found.append("strategy.communicate: false: NOTHING IS SENT, this run measures and its training is WRONG")
        return found

    def traffic(
        self, experiment: Experiment, table: Table, world_size: int, samples: int, backend: str
    ) -> dict[str, int]:
        if not experiment.strategy.communicate:
            return {}
        precision, split = precision_of(experiment), self.split_size
        gradients = table.parameters // split * wire_bytes(experiment)
        reduced = sent_by_all_reduce(gradients, world_size // split)
        reduced += sent_by_all_reduce(norm_bytes(experiment, table), split)
        crossing = exchanged(table, split, samples, precision.compute_bytes, backend) if split > 1 else {}
        return added(crossing, {"all_reduce": reduced})

    def memory(self, experiment: Experiment, table: Table, world_size: int) -> Memory:
        values = table.parameters // self.split_size
        return even_memory(experiment.optim, values * precision_of(experiment).parameter_bytes)
