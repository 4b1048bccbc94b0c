"""`alexnet-dist scaling`: what a step costs beside its arithmetic, by number of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from alexnet_dist import registry
from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import Group, StrategyName
from alexnet_dist.errors import DONE, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from alexnet_dist.scaling.count import Costs

ABOUT = """Count what a step costs beside its arithmetic, by number of ranks, on this machine only.

alexnet-dist scaling --ranks 2,8,64,512 --net.name alexnet_small
alexnet-dist scaling --strategies fsdp --ranks 8,512 --strategy.shard_ranks 8

Only the first rank is real: its messages to the others are counted, and answered at once. Hops
are those that gloo would make; a time marked as computed is hops times 20 us. "strategy" counts
the strategy's own collectives, "control" all other messages. A table shows two steps with their
report. The command uses images of its own.
"""
DATA = ("--data.name", "synthetic", "--data.samples", str(2**20))
Ranks = Annotated[int, Field(ge=2, le=4096)]


class ScalingFlags(Group):
    strategies: list[StrategyName] = Field(
        ["ddp", "split", "fsdp", "zero1", "zero2", "zero3"], min_length=1, description="a table for each"
    )
    ranks: list[Ranks] = Field([2, 8, 64, 512], min_length=1, description="a column for each")
    batch: int = Field(4, ge=1, le=1024, description="samples of each rank in a step")


FLAGS = Flags(ScalingFlags, Experiment, overridden=("strategy.name", "train.global_batch", "data.name", "data.samples"))


def run(flags: Sequence[str]) -> int:
    """Count, and print a table for each strategy; DONE however a figure grows.

    Raises:
        UsageError: the flags are wrong, or a strategy works on none of the numbers of ranks.
    """
    own, fields = FLAGS.split(flags)
    for line in FLAGS.overridden_in(load(fields)):
        print(f"warning: {line}")
    cases = {name: cases_of(name, own, fields) for name in own.strategies}
    from alexnet_dist.scaling.measure import measure
    from alexnet_dist.telemetry.console import new_console

    console = new_console()
    for name, by_ranks in cases.items():
        with console.status(f"{name} on {', '.join(map(str, by_ranks))} ranks"):
            costs = measure(by_ranks)
        console.print(_table(name, costs))
    return DONE


def cases_of(name: str, own: ScalingFlags, fields: Sequence[str]) -> dict[int, list[str]]:
    """The experiment's flags by number of ranks, where the strategy works on that many."""
    from alexnet_dist.strategies.check import check_experiment

    strategy, cases, problem = registry.strategies[name], dict[int, list[str]](), None
    for ranks in sorted(set(own.ranks)):
        batch = own.batch * strategy.sample_shards(ranks)
        flags = [*fields, "--strategy.name", name, "--train.global_batch", str(batch), *DATA]
        try:
            check_experiment(resolve(load(flags), ranks), ranks)
        except UsageError as refusal:
            problem = refusal
        else:
            cases[ranks] = flags
    if problem is not None and not cases:
        raise problem
    return cases


def _table(name: str, costs: Mapping[int, Costs]) -> Table:
    from rich.table import Table

    from alexnet_dist.scaling.figures import FIGURES, growth

    sent = all(cost.counted == cost.expected for cost in costs.values())
    table = Table(title=f"{name}: two steps and their report, by number of ranks")
    table.add_column("")
    for ranks in costs:
        table.add_column(str(ranks), justify="right")
    table.add_column("growth")
    for figure in FIGURES:
        values = {ranks: figure.value(cost) for ranks, cost in costs.items()}
        table.add_row(figure.name, *map(figure.shown, values.values()), growth(values))
    table.caption = f"bytes that the strategy sent: {'as' if sent else 'NOT as'} expected on every number of ranks"
    return table


COMMAND = registry.commands.register(
    Command("scaling", "what a step costs beside its arithmetic, by number of ranks", run, FLAGS, ABOUT)
)
