"""`alexnet-dist strategies`: what there is to choose from, and what it costs a rank in memory.

    alexnet-dist strategies --ranks 4 --net.name alexnet_2012

Nothing is started: the bytes come from the layer table.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.strategies import STRATEGIES
from alexnet_dist.strategies.base import Strategy
from alexnet_dist.training.precision import dtypes_of
from alexnet_dist.training.wiring import check

WIDTH = 100


def run(flags: Sequence[str]) -> int:
    """Print two tables.

    Args:
        flags: of an experiment, and `--ranks N`.

    Raises:
        UsageError: the flags are wrong.
    """
    ranks, rest = _ranks([word for flag in flags for word in flag.split("=", 1)])
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print(_meaning(), _memory(rest, ranks))
    return 0


def _ranks(words: list[str]) -> tuple[int, list[str]]:
    if "--ranks" not in words:
        return 2, words
    at = words.index("--ranks")
    number = words[at + 1] if at + 1 < len(words) else ""
    if not (number.isdecimal() and 1 <= int(number) <= 1_000_000):
        raise UsageError("--ranks", number, "must be a whole number from 1")
    return int(number), words[:at] + words[at + 2 :]


def _meaning() -> Table:
    table = Table(title="what a strategy does", show_lines=True)
    for column in ("strategy", "splits", "moves in a step", "needs", "right where"):
        table.add_column(column, overflow="fold")
    for name, kind in STRATEGIES.items():
        table.add_row(name, kind.about.splits, kind.about.moves, kind.about.needs, kind.about.right_where)
    return table


def _memory(flags: Sequence[str], ranks: int) -> Table:
    experiment = resolve(load([*flags]), ranks)
    settings = f"{experiment.net.name}, {experiment.optim.name}, {experiment.train.precision}"
    table = Table(title=f"MB on the fullest rank between backward and update: {settings}")
    for column in ("strategy", "ranks", "weights", "gradients", "optimiser", "together"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for name, kind in STRATEGIES.items():
        table.add_row(name, *_cells(experiment.replace("strategy", name=name), kind, ranks))
    return table


def _cells(experiment: Experiment, kind: type[Strategy], ranks: int) -> list[str]:
    """A strategy that does not take so many ranks is shown on one; one that takes neither, as what it cannot be."""
    for count in (ranks, 1):
        try:
            check(experiment, count)
        except UsageError:
            continue
        dtypes = dtypes_of(experiment.train.precision)
        memory = kind.expected_memory(experiment, table_of(experiment.net), count, dtypes)
        parts = (memory.parameters, memory.gradients, memory.optimizer, memory.total)
        return [str(count), *(f"{part / 1e6:,.1f}" for part in parts)]
    return [str(ranks), "-", "-", "-", "not possible"]
