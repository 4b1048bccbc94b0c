"""`alexnet-dist bench`: how fast this machine trains, on its GPUs if it has any, as ratios of two programs' rates.

alexnet-dist bench                                       every benchmark, in the precision that this machine multiplies
alexnet-dist bench --only norm --rounds 5 --steps 10     the benchmarks whose name has the word
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.precisions import cpu_multiplies_bf16
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.errors import DONE, UsageError, one_of
from alexnet_dist.registry import commands

if TYPE_CHECKING:
    from alexnet_dist.bench.measure import Result
    from alexnet_dist.bench.programs import Settings

FASHION_MNIST_IMAGES = 60_000
CPU_STEPS, GPU_STEPS = 8, 200
WIDTH = 100
ABOUT = """How fast this machine trains: each case a ratio of two programs that take turns.

alexnet-dist bench --only norm --rounds 5 --steps 10
alexnet-dist bench loader         our ways to load images, and torchvision's usual one
alexnet-dist bench augmentation   our augmentations, and torchvision's v2 transforms
"""


class BenchFlags(Group):
    what: Annotated[Literal["training", "loader", "augmentation"], Role.ARGUMENT] = Field(
        "training", description="what is measured: steps of training runs, loading of images, or their augmentation"
    )
    root: FilePath | None = Field(
        None, description="loader: folder of JPEG files by class; default: photographs, made 500 x 375 and 110 kB"
    )
    only: str = Field("", description="training: cases whose name contains this; default: all")
    rounds: int = Field(3, ge=1, description="times that the two programs of a case take turns")
    steps: int | None = Field(
        None,
        ge=1,
        description="training: measured steps of each run; augmentation: batches in a round; "
        "default: 8, of training on GPUs 200",
    )
    batch: int = Field(128, ge=1, le=8192, description="training: global batch; augmentation: batch")
    precision: Literal["fp32", "bf16"] | None = Field(
        None, description="training: default: bf16 on GPUs and where this CPU multiplies it, else fp32"
    )


FLAGS = Flags(BenchFlags)
# The flags that each measurement takes.
TAKEN = {
    "training": {"only", "rounds", "steps", "batch", "precision"},
    "loader": {"root", "rounds"},
    "augmentation": {"rounds", "steps", "batch"},
}


def run(flags: Sequence[str]) -> int:
    """Measure and print; DONE whatever the ratios: a benchmark is no test.

    Raises:
        UsageError: the flags are wrong.
        RunFailed: a program failed.
    """
    own, _ = FLAGS.split(flags)
    for name in sorted(own.model_fields_set - {"what"} - TAKEN[own.what]):
        raise UsageError(f"--{name}", getattr(own, name), f"bench {own.what} does not take it: leave it out")
    if own.what == "loader":
        return _loader(own)
    if own.what == "augmentation":
        return _augmentation(own)
    from rich.progress import Progress

    from alexnet_dist.bench.benchmarks import benchmarks
    from alexnet_dist.bench.measure import measure
    from alexnet_dist.bench.programs import WARM_UP, Settings
    from alexnet_dist.distributed.devices import gpu_count
    from alexnet_dist.telemetry.hardware import load_warnings

    gpus = gpu_count()
    chosen = [benchmark for benchmark in benchmarks() if own.only in benchmark.name]
    if not chosen:
        raise UsageError("--only", own.only, one_of(own.only, [benchmark.name for benchmark in benchmarks()]))
    if gpus:
        chosen = [benchmark for benchmark in chosen if benchmark.ranks <= gpus]
        if not chosen:
            raise UsageError("--only", own.only, f"needs more GPUs than {gpus}; ACCELERATE_USE_CPU=true takes the CPU")
    precision = own.precision or ("bf16" if gpus or cpu_multiplies_bf16() else "fp32")
    settings = Settings(own.steps or (GPU_STEPS if gpus else CPU_STEPS), own.batch, precision)
    if own.batch * (settings.steps + WARM_UP) > FASHION_MNIST_IMAGES:
        raise UsageError("bench", f"{settings.steps} steps of {own.batch}", "are more than an epoch: take fewer")
    for line in load_warnings():
        print(f"warning: {line}", flush=True)
    with Progress(transient=True) as bar:
        task = bar.add_task("", total=len(chosen) * own.rounds * 2, completed=-1)
        results = measure(chosen, own.rounds, settings, lambda text: bar.update(task, advance=1, description=text))
    _show(results, own.rounds, settings, gpus)
    return DONE


def _show(results: Sequence[Result], rounds: int, settings: Settings, gpus: int) -> None:
    """Print a row per benchmark."""
    from rich.console import Console
    from rich.table import Table

    how = f"median of {rounds} rounds of {settings.steps} steps"
    table = Table(title=f"{_machine(gpus)}\n{settings.precision}, global batch {settings.batch}, {how}")
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


def _machine(gpus: int) -> str:
    """What was measured on, and when.

    Args:
        gpus: 0 for the CPU.
    """
    import platform
    from datetime import date

    import torch

    from alexnet_dist.distributed.cores import available_cores
    from alexnet_dist.telemetry.hardware import device_name

    parts = f"{gpus} GPUs" if gpus else f"{available_cores()} cores"
    name = device_name(torch.device("cuda" if gpus else "cpu"))
    return f"{name}, {parts}, torch {torch.__version__}, {platform.system()}, {date.today()}"


def _loader(own: BenchFlags) -> int:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from alexnet_dist.bench.loader_cases import CASES, PROCESSES, measure_loaders, median, multiples, scaling
    from alexnet_dist.distributed.cores import available_cores
    from alexnet_dist.telemetry.hardware import load_warnings

    for line in load_warnings():
        print(f"warning: {line}", flush=True)
    ways = tuple(PROCESSES) if available_cores() > 1 else ("one core",)
    with Progress(transient=True) as bar:
        task = bar.add_task("", total=len(CASES) * own.rounds * len(ways) + 1, completed=-1)
        measured = measure_loaders(
            own.root, own.rounds, ways, lambda text: bar.update(task, advance=1, description=text)
        )
    table = Table(title=f"{_machine(gpus=0)}\nimages per second of CPU time, median of {own.rounds} rounds")
    for column in ("case", "images/s", "multiple", "range", *(f"{way} / one" for way in ways[1:])):
        table.add_column(column, justify="left" if column == "case" else "right")
    for case in CASES:
        ratios = multiples(measured, case.name)
        rate = f"{median(measured[case.name, 'one core']):.0f}"
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        scalings = (f"{scaling(measured, case.name, way):.2f}" for way in ways[1:])
        table.add_row(case.name, rate, f"{statistics.median(ratios):.2f}", spread, *scalings)
    Console(width=None if Console().is_terminal else WIDTH).print(table)
    return DONE


def _augmentation(own: BenchFlags) -> int:
    from rich.console import Console
    from rich.table import Table

    from alexnet_dist.bench.augmentation import measure_augmentation

    how = f"milliseconds of CPU time a batch of {own.batch}, one thread, median of {own.rounds} rounds"
    table = Table(title=f"{_machine(gpus=0)}\n{how}")
    for column in ("data.augment", "ours", "v2", "ratio", "range"):
        table.add_column(column, justify="left" if column == "data.augment" else "right")
    for name, times in measure_augmentation(own.batch, own.rounds, own.steps or CPU_STEPS).items():
        ours, theirs = statistics.median(times.ours), statistics.median(times.theirs)
        spread = f"{min(times.ratios):.2f}-{max(times.ratios):.2f}"
        table.add_row(name, f"{ours:.1f}", f"{theirs:.1f}", f"{statistics.median(times.ratios):.2f}", spread)
    Console(width=None if Console().is_terminal else WIDTH).print(table)
    return DONE


COMMAND = commands.register(
    Command("bench", "how fast this machine trains, each case against a plain way of doing it", run, FLAGS, ABOUT)
)
