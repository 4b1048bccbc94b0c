"""`alexnet-dist parity`: train under each strategy and in one process, and compare tensor by tensor.

alexnet-dist parity --net.name alexnet_2012 --strategies ddp,split --ranks 2,4 --train.precision fp64 --steps 10
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from alexnet_dist.commands import Command
from alexnet_dist.config.load import fields_help, load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import DONE, FAILED, UsageError
from alexnet_dist.registry import commands, precisions

if TYPE_CHECKING:
    from alexnet_dist.parity.verdict import Verdict

HELP = """Train under each strategy and in one process from the same start, and compare every tensor.

  --strategies LIST            strategies, separated by commas [ddp,split]
  --ranks LIST                 numbers of ranks to try each on [2]
  --steps N                    optimiser steps [10]
"""


def run(flags: Sequence[str]) -> int:
    """0 where every strategy gives the same training, else 1.

    Raises:
        UsageError: the flags are wrong.
        RunFailed: the ranks failed.
    """
    if "--help" in flags or "-h" in flags:
        print(HELP + fields_help())
        return DONE
    own, rest = _parse(flags)
    strategies = own.strategies.split(",")
    rank_counts = _counts("--ranks", own.ranks.split(","))
    (steps,) = _counts("--steps", [own.steps])
    experiment = resolve(load([*rest, "--strategy.name", "single"]), 1)
    verdicts = _verdicts(rest, strategies, rank_counts, steps, experiment.train.precision)
    _show(experiment, verdicts, steps)
    return DONE if all(verdict.same for verdict in verdicts) else FAILED


def _parse(flags: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split this command's own flags from the experiment's."""
    parser = argparse.ArgumentParser("alexnet-dist parity", add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag, default in (("--strategies", "ddp,split"), ("--ranks", "2"), ("--steps", "10")):
        parser.add_argument(flag, default=default)
    try:
        return parser.parse_known_args(flags)
    except argparse.ArgumentError as error:
        raise UsageError(error.argument_name or "parity", "", error.message) from None


def _counts(flag: str, numbers: Sequence[str]) -> list[int]:
    if not all(number.isdecimal() and 1 <= int(number) <= 10_000 for number in numbers):
        raise UsageError(flag, ",".join(numbers), "must be a whole number from 1 (--ranks: several, as in 2,4)")
    return [int(number) for number in numbers]


def _verdicts(
    flags: Sequence[str], strategies: Sequence[str], rank_counts: Sequence[int], steps: int, precision: str
) -> list[Verdict]:
    """Every strategy on every number of ranks, against one process; all are checked before any is started."""
    from alexnet_dist.parity.measure import TraceRequest, measure, read_differences
    from alexnet_dist.parity.verdict import judge
    from alexnet_dist.strategies.base import check_experiment

    under = {strategy: [*flags, "--strategy.name", strategy] for strategy in ["single", *strategies]}
    for ranks in rank_counts:
        for strategy in strategies:
            check_experiment(resolve(load(under[strategy]), ranks), ranks)
    found = []
    with TemporaryDirectory(prefix="alexnet-parity-") as name:
        folder = Path(name)
        (reference,) = measure([TraceRequest(under["single"], steps)], 1, folder)
        for ranks in rank_counts:
            paths = measure([TraceRequest(under[name], steps, reference) for name in strategies], ranks, folder)
            for strategy, path in zip(strategies, paths, strict=True):
                found.append(judge(strategy, ranks, read_differences(path), precision))
    return found


def _show(experiment: Experiment, verdicts: Sequence[Verdict], steps: int) -> None:
    """Print the verdicts as a table."""
    from rich.console import Console
    from rich.table import Table

    precision = precisions[experiment.train.precision]
    table = Table(title=f"{experiment.net.name}, {precision.name}, {steps} steps, against one process")
    for column in ("strategy", "ranks", "worst loss", "gradient of step 1", "last weight", "verdict"):
        table.add_column(column)
    for verdict in verdicts:
        cells = [f"{worst.difference:.1e}\n{worst.where}" for worst in verdict.worst.values()]
        table.add_row(
            verdict.strategy, str(verdict.ranks), *cells, "[green]same[/]" if verdict.same else "[red]DIFFERS[/]"
        )
    console = Console()
    console.print(table)
    compared = f"{', '.join(precision.compared)} within {precision.tolerance:.0e}"
    console.print(f"must hold: {compared} (||a - b|| / ||b|| per tensor)", highlight=False)


COMMAND = commands.register(Command("parity", "hold strategies against one process, tensor by tensor", run))
