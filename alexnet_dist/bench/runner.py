"""Runs the cases in turn and prints their ratios.

alexnet-dist bench                                       every case, in the precision that this machine multiplies
alexnet-dist bench --only norm --rounds 5 --steps 10     the cases whose name has the word
"""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from alexnet_dist.bench.baselines import WARM_UP
from alexnet_dist.bench.cases import OF_2012, Baseline, Case, Ours, cases
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.processes import launch
from alexnet_dist.telemetry.hardware import cpu_name
from alexnet_dist.training.precision import cpu_multiplies_bf16

FASHION_MNIST_IMAGES = 60_000


def run(flags: Sequence[str]) -> int:
    """`alexnet-dist bench`: measures, prints and returns 0, whatever the ratios; a benchmark is no test."""
    parser = argparse.ArgumentParser("alexnet-dist bench")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=3, help="times that the two programs of a case take turns")
    parser.add_argument("--steps", type=int, default=8, help="measured steps of each run")
    parser.add_argument("--batch", type=int, default=128, help="global batch")
    usable = "bf16" if cpu_multiplies_bf16() else "fp32"
    parser.add_argument("--precision", default=usable, choices=["fp32", "bf16"], help=f"default here: {usable}")
    settings = parser.parse_args(flags)
    # On a GPU machine, too: the bars are for two CPU cores, and both sides must run on the same device.
    os.environ["ACCELERATE_USE_CPU"] = "true"
    if settings.batch * (settings.steps + WARM_UP) > FASHION_MNIST_IMAGES:
        raise UsageError("bench", f"{settings.steps} steps of {settings.batch}", "are more than an epoch: take fewer")
    chosen = [case for case in cases(_flops_of_2012()) if settings.only in case.name]
    if not chosen or min(settings.rounds, settings.steps, settings.batch) < 1:
        raise UsageError("bench", flags, "no such case, or a number below 1; see alexnet-dist bench --help")
    results = []
    with Progress(transient=True) as progress, TemporaryDirectory(prefix="alexnet-bench-") as folder:
        task = progress.add_task("", total=len(chosen) * settings.rounds * 2)
        for case in chosen:
            pairs = []
            for turn in range(settings.rounds):
                rates = {}
                # A B, B A, …: a machine that drifts hurts both alike.
                for side in ("ours", "against") if turn % 2 == 0 else ("against", "ours"):
                    progress.update(task, description=f"{case.name}: {side}")
                    rates[side] = _rate(getattr(case, side), settings, Path(folder))
                    progress.advance(task)
                pairs.append((rates["ours"] * case.scale, rates["against"]))
            results.append((case, pairs))
    _show(results, settings)
    return 0


def _flops_of_2012() -> int:
    return table_of(resolve(load(list(OF_2012)), 1).net).training_flops


def _rate(program: Ours | Baseline, settings: argparse.Namespace, folder: Path) -> float:
    """Images (or operations) per second of one run."""
    if isinstance(program, Baseline):
        output = folder / "rate.json"
        numbers = ["--batch", str(settings.batch), "--steps", str(settings.steps), "--precision", settings.precision]
        launch(program.ranks, ["-m", "alexnet_dist.bench.baselines", program.name, *numbers, "--output", str(output)])
        return float(json.loads(output.read_text())["rate"])
    run_folder = folder / "run"
    shared = {
        "--train.global_batch": settings.batch, "--train.max_steps": settings.steps + WARM_UP,
        "--train.precision": settings.precision, "--train.evaluate": "false", "--tracking.wandb": "false",
        "--tracking.log_every": settings.steps + WARM_UP, "--run.dir": run_folder, "--run.overwrite": "true",
        "--checkpoint.every_steps": 0,
    }  # fmt: skip
    if "synthetic" in program.flags:
        shared["--data.samples"] = settings.batch * (settings.steps + WARM_UP)
    words = [str(word) for pair in shared.items() for word in pair]
    launch(program.ranks, ["-m", "alexnet_dist.cli", "train", *words, *program.flags])
    steps = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()][WARM_UP:]
    return sum(int(step["samples"]) for step in steps) / sum(float(step["seconds"]) for step in steps)


def _show(results: list[tuple[Case, list[tuple[float, float]]]], settings: argparse.Namespace) -> None:
    machine = f"{cpu_name()}, {len(os.sched_getaffinity(0))} cores, torch {torch.__version__}, {platform.system()}"
    table = Table(title=f"{machine}, {date.today()}\n{settings.precision}, global batch {settings.batch}, median of "
                        f"{settings.rounds} rounds of {settings.steps} steps")  # fmt: skip
    for column in ("case", "ours", "other", "ratio", "range", "must", "aim", ""):
        table.add_column(column, justify="left" if column == "case" else "right")
    for case, pairs in results:
        ratios = [ours / other for ours, other in pairs]
        ratio = statistics.median(ratios)
        ours, other = (statistics.median(side) for side in zip(*pairs, strict=True))
        unit = 1e9 if ours > 1e6 else 1.0
        verdict = "met" if ratio >= case.aim else "must" if ratio >= case.must else "missed"
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        cells = (f"{ours / unit:.1f}", f"{other / unit:.1f}", f"{ratio:.2f}", spread, f"{case.must}", f"{case.aim}")
        table.add_row(case.name, *cells, verdict)
    Console(width=None if Console().is_terminal else 100).print(table)
