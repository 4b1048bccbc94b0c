"""`alexnet-dist bench`: how fast this machine trains, on its GPUs if it has any, as ratios of two programs' rates.

alexnet-dist bench                                       every benchmark, in the precision that this machine multiplies
alexnet-dist bench --only norm --rounds 5 --steps 10     the benchmarks whose name has the word
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.precisions import multiplies_bf16
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.costs.units import counted
from alexnet_dist.errors import DONE, UsageError, one_of
from alexnet_dist.registry import commands

if TYPE_CHECKING:
    from rich.table import Table

    from alexnet_dist.bench.benchmarks import Benchmark

FASHION_MNIST_IMAGES = 60_000
CPU_STEPS, GPU_STEPS = 8, 200
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
        None, description="training: default: bf16 where this GPU or CPU multiplies it, else fp32"
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
    measurements = {"training": _training, "loader": _loader, "augmentation": _augmentation}
    table = measurements[own.what](own)
    from alexnet_dist.telemetry.console import new_console

    new_console().print(table)
    return DONE


def _training(own: BenchFlags) -> Table:
    """A row per benchmark."""
    from alexnet_dist.bench.benchmarks import benchmarks
    from alexnet_dist.bench.measure import measure
    from alexnet_dist.bench.programs import WARM_UP, Settings
    from alexnet_dist.distributed.devices import check_built_for, gpu_count, own_device

    gpus = gpu_count()
    check_built_for(own_device(0))
    chosen = _chosen(benchmarks(), own.only, gpus)
    precision = own.precision or ("bf16" if multiplies_bf16(own_device(0)) else "fp32")
    settings = Settings(own.steps or (GPU_STEPS if gpus else CPU_STEPS), own.batch, precision)
    if own.batch * (settings.steps + WARM_UP) > FASHION_MNIST_IMAGES:
        raise UsageError("bench", f"{settings.steps} steps of {own.batch}", "are more than an epoch: take fewer")
    with _progress(len(chosen) * own.rounds * 2) as progress:
        results = measure(chosen, own.rounds, settings, progress)
    how = f"{precision}, global batch {own.batch}, median of {own.rounds} rounds of {settings.steps} steps"
    table = _table(f"{_machine(gpus)}\n{how}", "case", "ours", "other", "ratio", "range")
    for result in results:
        ours, other = statistics.median(result.ours), statistics.median(result.other)
        unit = 1e9 if ours > 1e6 else 1.0
        table.add_row(result.benchmark.name, f"{ours / unit:.1f}", f"{other / unit:.1f}", *_spread(result.ratios))
    return table


def _chosen(benchmarks: Sequence[Benchmark], only: str, gpus: int) -> list[Benchmark]:
    """Those whose name has `only` in it and that have a GPU for each rank, or run on the CPU; others are printed."""
    named = [benchmark for benchmark in benchmarks if only in benchmark.name]
    if not named:
        raise UsageError("--only", only, one_of(only, [benchmark.name for benchmark in benchmarks]))
    chosen = [benchmark for benchmark in named if not gpus or benchmark.ranks <= gpus]
    if not chosen:
        raise UsageError("--only", only, f"needs more GPUs than {gpus}; ACCELERATE_USE_CPU=true takes the CPU")
    for benchmark in named:
        if benchmark not in chosen:
            needed, there = counted(benchmark.ranks, "rank"), counted(gpus, "GPU")
            print(f"left out: {benchmark.name}: {needed}, {there}", flush=True)
    return chosen


def _loader(own: BenchFlags) -> Table:
    from alexnet_dist.bench.loader_cases import CASES, PROCESSES, measure_loaders, median, multiples, scaling
    from alexnet_dist.distributed.cores import available_cores

    one, *others = tuple(PROCESSES) if available_cores() > 1 else ("one core",)
    with _progress(len(CASES) * own.rounds * (1 + len(others)) + 1) as progress:
        measured = measure_loaders(own.root, own.rounds, (one, *others), progress)
    how = f"images per second of CPU time, median of {own.rounds} rounds"
    ways = [f"{way} / one" for way in others]
    table = _table(f"{_machine(gpus=0)}\n{how}", "case", "images/s", "multiple", "range", *ways)
    for case in CASES:
        rate = f"{median(measured[case.name, one]):.0f}"
        scalings = (f"{scaling(measured, case.name, way):.2f}" for way in others)
        table.add_row(case.name, rate, *_spread(multiples(measured, case.name)), *scalings)
    return table


def _augmentation(own: BenchFlags) -> Table:
    from alexnet_dist.bench.augmentation import measure_augmentation

    how = f"milliseconds of CPU time a batch of {own.batch}, one thread, median of {own.rounds} rounds"
    table = _table(f"{_machine(gpus=0)}\n{how}", "data.augment", "ours", "v2", "ratio", "range")
    for name, times in measure_augmentation(own.batch, own.rounds, own.steps or CPU_STEPS).items():
        ours, theirs = statistics.median(times.ours), statistics.median(times.theirs)
        table.add_row(name, f"{ours:.1f}", f"{theirs:.1f}", *_spread(times.ratios))
    return table


@contextmanager
def _progress(runs: int) -> Iterator[Callable[[str], None]]:
    """A bar for that many runs, moved by a line of text before each; first a warning where other programs compute."""
    from rich.progress import Progress

    from alexnet_dist.telemetry.hardware import load_warnings

    for line in load_warnings():
        print(f"warning: {line}", flush=True)
    with Progress(transient=True) as bar:
        task = bar.add_task("", total=runs, completed=-1)
        yield lambda text: bar.update(task, advance=1, description=text)


def _table(title: str, first: str, *others: str) -> Table:
    """Words in the first column, numbers in the others."""
    from rich.table import Table

    table = Table(first, title=title)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _spread(ratios: Sequence[float]) -> tuple[str, str]:
    """The median and the range."""
    return f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}"


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


COMMAND = commands.register(
    Command("bench", "how fast this machine trains, each case against a plain way of doing it", run, FLAGS, ABOUT)
)
