"""`alexnet-dist parity`: train under each strategy and in one process, and compare tensor by tensor.

alexnet-dist parity --net.name alexnet_2012 --strategies ddp,split --ranks 2,4 --train.precision fp64 --steps 10
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import load
from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment, TrainConfig
from alexnet_dist.config.values import Group, StrategyName
from alexnet_dist.errors import DONE, FAILED
from alexnet_dist.registry import commands
from alexnet_dist.temporary import temporary_folder

if TYPE_CHECKING:
    from alexnet_dist.parity.verdict import Verdict

ABOUT = """Train under each strategy and in one process from the same start, and compare every tensor.

alexnet-dist parity --net.name alexnet_2012 --strategies ddp,split --ranks 2 --train.precision fp64
"""
Ranks = Annotated[int, Field(ge=1, le=10_000)]


class ParityFlags(Group):
    strategies: list[StrategyName] = Field(
        ["ddp", "split"], min_length=1, description="what is compared with one process"
    )
    ranks: list[Ranks] = Field([2], min_length=1, description="numbers of ranks to try each on")
    steps: int = Field(10, ge=1, le=10_000, description="optimizer steps")


FLAGS = Flags(ParityFlags, Experiment, overridden=("strategy.name",))


def run(flags: Sequence[str]) -> int:
    """0 where every strategy gives the same training, else 1.

    Raises:
        UsageError: the flags are wrong.
        RunFailed: the ranks failed.
    """
    own, rest = FLAGS.split(flags)
    for line in FLAGS.overridden_in(load(rest)):
        print(f"warning: {line}")
    experiment = resolve(load([*rest, "--strategy.name", "single"]), 1)
    verdicts = _verdicts(rest, own.strategies, own.ranks, own.steps, experiment.train)
    _show(experiment, verdicts, own.steps)
    return DONE if all(verdict.same for verdict in verdicts) else FAILED


def _verdicts(
    flags: Sequence[str], strategies: Sequence[str], rank_counts: Sequence[int], steps: int, train: TrainConfig
) -> list[Verdict]:
    """Every strategy on every number of ranks, against one process; all are checked before any is started."""
    from alexnet_dist.parity.measure import TraceRequest, measure, read_differences
    from alexnet_dist.parity.verdict import judge
    from alexnet_dist.strategies.check import check_experiment

    under = {strategy: [*flags, "--strategy.name", strategy] for strategy in ["single", *strategies]}
    for ranks in rank_counts:
        for strategy in strategies:
            check_experiment(resolve(load(under[strategy]), ranks), ranks)
    found = []
    with temporary_folder("alexnet-parity-") as folder:
        (reference,) = measure([TraceRequest(under["single"], steps)], 1, folder)
        for ranks in rank_counts:
            paths = measure([TraceRequest(under[name], steps, reference) for name in strategies], ranks, folder)
            for strategy, path in zip(strategies, paths, strict=True):
                found.append(judge(strategy, ranks, read_differences(path), train.precision, train.global_batch))
    return found


def _show(experiment: Experiment, verdicts: Sequence[Verdict], steps: int) -> None:
    """Print the verdicts as a table."""
    from rich.table import Table

    from alexnet_dist.telemetry.console import new_console

    precision = precision_of(experiment)
    table = Table(title=f"{experiment.net.name}, {precision.name}, {steps} steps, against one process")
    for column in ("strategy", "ranks", "worst loss", "gradient of step 1", "last weight", "verdict"):
        table.add_column(column)
    for verdict in verdicts:
        cells = [f"{worst.difference:.1e}\n{worst.where}" for worst in verdict.worst.values()]
        table.add_row(
            verdict.strategy, str(verdict.ranks), *cells, "[green]same[/]" if verdict.same else "[red]DIFFERS[/]"
        )
    console = new_console()
    console.print(table)
    compared = f"{', '.join(precision.compared)} within {precision.tolerance_of(experiment.train.global_batch):.0e}"
    console.print(f"must hold: {compared} (||a - b|| / ||b|| per tensor)", highlight=False)
    if any(verdict.drifts for verdict in verdicts):
        console.print("the first gradients agree: if a lower --optim.lr holds, training amplified their rounding")


COMMAND = commands.register(
    Command("parity", "compare strategies with one process, tensor by tensor", run, FLAGS, ABOUT)
)
