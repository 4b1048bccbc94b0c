"""Strategies with a fault, as a plugin: what a comparison must detect.

`slow` sleeps in every update; `wrong` has one gradient 1 % too large; `killed` is killed as soon as it trains, as the
kernel kills a process that takes too much memory.
"""

from alexnet_dist import registry
from alexnet_dist.config.schema import Experiment
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.check import refuse_one_rank
from alexnet_dist.strategies.parts.module_strategy import ModuleStrategy


class Planted(ModuleStrategy):
    splits, moves, needs, right_where = "the batch", "gradients", "two ranks or more", "tests"

    def __init__(self, name: str, engine: str) -> None:
        self.name, self.engine = name, engine  # type: ignore[misc]

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        refuse_one_rank(self.name, world_size)


for _name, _engine in (("slow", "SlowEngine"), ("wrong", "WrongEngine"), ("killed", "KilledEngine")):
    registry.strategies.register(Planted(_name, f"planted_engines:{_engine}"))
