"""`alexnet-dist strategies`: the choices for `strategy.name`, and the memory that each takes on a rank.

Nothing is started: the figures follow from the layer table.
"""

from collections.abc import Sequence

from pydantic import Field
from rich.table import Table

from alexnet_dist import registry
from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import Group
from alexnet_dist.errors import DONE, UsageError
from alexnet_dist.strategies.base import strategy_of
from alexnet_dist.telemetry.console import new_console

ABOUT = """What each strategy does, and the memory that it takes for the given net.

alexnet-dist strategies --ranks 4 --net.name alexnet_2012
"""


class StrategiesFlags(Group):
    ranks: int = Field(2, ge=1, le=1_000_000, description="ranks to share it")


FLAGS = Flags(StrategiesFlags, Experiment)


def run(flags: Sequence[str]) -> int:
    """Print two tables.

    Args:
        flags: of an experiment, and `--ranks N`.

    Raises:
        UsageError: the flags are wrong.
    """
    own, fields = FLAGS.split(flags)
    new_console().print(_facts(), _memory(fields, own.ranks))
    return DONE


def _facts() -> Table:
    table = Table(title="what a strategy does", show_lines=True)
    for column in ("strategy", "splits", "moves in a step", "needs", "right where"):
        table.add_column(column, overflow="fold")
    for strategy in registry.strategies:
        table.add_row(strategy.name, strategy.splits, strategy.moves, strategy.needs, strategy.right_where)
    return table


def _memory(fields: list[str], ranks: int) -> Table:
    experiment = resolve(load(fields), ranks)
    settings = f"{experiment.net.name}, {experiment.optim.name}, {experiment.train.precision}"
    table = Table(title=f"MB on the fullest rank between backward and update: {settings}")
    for column in ("strategy", "ranks", "weights", "gradients", "optimizer", "together"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for name in registry.strategies.names():
        table.add_row(name, *_memory_cells(experiment.replace("strategy", name=name), ranks))
    return table


def _memory_cells(experiment: Experiment, ranks: int) -> list[str]:
    """For a strategy on `ranks` ranks, or on one where it takes no more."""
    strategy, table = strategy_of(experiment), table_of(experiment.net)
    for count in (ranks, 1):
        try:
            strategy.check(experiment, table, count)
        except UsageError:
            continue
        memory = strategy.memory(experiment, table, count)
        parts = (memory.parameters, memory.gradients, memory.optimizer, memory.total)
        return [str(count), *(f"{part / 1e6:,.1f}" for part in parts)]
    return [str(ranks), "-", "-", "-", "not possible"]


COMMAND = registry.commands.register(
    Command("strategies", "what each splits, moves and needs, and the memory it takes on a rank", run, FLAGS, ABOUT)
)
