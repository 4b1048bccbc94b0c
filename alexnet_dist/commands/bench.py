"""`alexnet-dist bench`: how fast this machine trains; each benchmark is the ratio of two programs' rates.

alexnet-dist bench                                       every benchmark, in the precision that this machine multiplies
alexnet-dist bench --only norm --rounds 5 --steps 10     the benchmarks whose name has the word
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.precisions import cpu_multiplies_bf16
from alexnet_dist.config.schema import Group
from alexnet_dist.errors import DONE, UsageError, one_of
from alexnet_dist.registry import commands

if TYPE_CHECKING:
    from alexnet_dist.bench.measure import Result
    from alexnet_dist.bench.programs import Settings

FASHION_MNIST_IMAGES = 60_000
WIDTH = 100
ABOUT = """How fast this machine trains: each case a ratio of two programs that take turns.

alexnet-dist bench --only norm --rounds 5 --steps 10
"""


class BenchFlags(Group):
    only: str = Field("", description="cases whose name contains this; default: all")
    rounds: int = Field(3, ge=1, description="times that the two programs of a case take turns")
    steps: int = Field(8, ge=1, description="measured steps of each run")
    batch: int = Field(128, ge=1, description="global batch")
    precision: Literal["fp32", "bf16"] | None = Field(
        None, description="default: bf16 where this CPU multiplies it, else fp32"
    )


FLAGS = Flags(BenchFlags)


def run(flags: Sequence[str]) -> int:
    """Measure and print; DONE whatever the ratios: a benchmark is no test.

    Raises:
        UsageError: the flags are wrong.
        RunFailed: a program failed.
    """
    own, _ = FLAGS.split(flags)
    # On a GPU machine, too: both sides of a ratio must run on the same device, and the baselines are for the CPU.
    os.environ["ACCELERATE_USE_CPU"] = "true"
    from rich.progress import Progress

    from alexnet_dist.bench.benchmarks import benchmarks
    from alexnet_dist.bench.measure import measure
    from alexnet_dist.bench.programs import WARM_UP, Settings
    from alexnet_dist.telemetry.hardware import load_warnings

    if own.batch * (own.steps + WARM_UP) > FASHION_MNIST_IMAGES:
        raise UsageError("bench", f"{own.steps} steps of {own.batch}", "are more than an epoch: take fewer")
    chosen = [benchmark for benchmark in benchmarks() if own.only in benchmark.name]
    if not chosen:
        raise UsageError("--only", own.only, one_of(own.only, [benchmark.name for benchmark in benchmarks()]))
    settings = Settings(own.steps, own.batch, own.precision or ("bf16" if cpu_multiplies_bf16() else "fp32"))
    for line in load_warnings():
        print(f"warning: {line}", flush=True)
    with Progress(transient=True) as bar:
        task = bar.add_task("", total=len(chosen) * own.rounds * 2, completed=-1)
        results = measure(chosen, own.rounds, settings, lambda text: bar.update(task, advance=1, description=text))
    _show(results, own.rounds, settings)
    return DONE


def _show(results: Sequence[Result], rounds: int, settings: Settings) -> None:
    """Print a row per benchmark."""
    import platform
    from datetime import date

    import torch
    from rich.console import Console
    from rich.table import Table

    from alexnet_dist.distributed.cores import available_cores
    from alexnet_dist.telemetry.hardware import cpu_name

    machine = f"{cpu_name()}, {available_cores()} cores, torch {torch.__version__}, {platform.system()}"
    how = f"median of {rounds} rounds of {settings.steps} steps"
    table = Table(title=f"{machine}, {date.today()}\n{settings.precision}, global batch {settings.batch}, {how}")
    for column in ("case", "ours", "other", "ratio", "range"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for result in results:
        ours, other = statistics.median(result.ours), statistics.median(result.other)
        unit = 1e9 if ours > 1e6 else 1.0
        table.add_row(
            result.benchmark.name,
            f"{ours / unit:.1f}",
            f"{other / unit:.1f}",
            f"{result.ratio:.2f}",
            f"{min(result.ratios):.2f}-{max(result.ratios):.2f}",
        )
    Console(width=None if Console().is_terminal else WIDTH).print(table)


COMMAND = commands.register(
    Command("bench", "how fast this machine trains, each case against a plain way of doing it", run, FLAGS, ABOUT)
)
