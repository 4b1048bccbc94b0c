"""What the machine can do, measured once beside the runs: its links, and on CPUs the rate of matrix products."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from alexnet_dist.compare.cases import Run, shared_flags
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.records import read_record
from alexnet_dist.launcher.processes import Starter

PRECISIONS = ("fp32", "bf16")  # whose products a CPU's rate is measured for


def unmeasured(
    comparison: Comparison, runs: Sequence[Run], starter: Callable[[str], Starter]
) -> dict[str, Callable[[], None]]:
    """What is not known yet, by its name; each raises RunFailed where it cannot be had.

    Args:
        runs: all of the comparison's.
        starter: gives what starts ranks, by the name of its log.
    """
    todo, ranks = dict[str, Callable[[], None]](), max(run.case.ranks for run in runs)
    if ranks > 1 and not _links_file(comparison, ranks).exists():
        todo["the links between ranks"] = partial(_measure_links, comparison, ranks, starter("links"))
    precise = comparison.train.precision in PRECISIONS
    if comparison.compare.peak and precise and not _peak_file(comparison).exists():
        todo["the rate of matrix products"] = partial(_measure_peak, comparison, runs, starter("peak"))
    return todo


def read_links(comparison: Comparison, ranks: int) -> list[dict[str, Any]]:
    """Each link between so many ranks: what, where, ranks, latency in seconds, bandwidth in bytes/s sent by a rank."""
    path = _links_file(comparison, ranks)
    links: list[dict[str, Any]] = json.loads(path.read_text())["links"] if path.exists() else []
    return links


def read_peak(comparison: Comparison) -> float | None:
    """Operations a second of one host's CPU; None where it was not measured."""
    path = _peak_file(comparison)
    return float(json.loads(path.read_text())["rate"]) if path.exists() else None


def _links_file(comparison: Comparison, ranks: int) -> Path:
    return comparison.folder / f"links-{ranks}.json"


def _peak_file(comparison: Comparison) -> Path:
    return comparison.folder / f"peak-{comparison.train.precision}.json"


def _measure_links(comparison: Comparison, ranks: int, start: Starter) -> None:
    output = _links_file(comparison, ranks)
    folders = ["--output", str(output), "--run.dir", str(comparison.folder / "runs")]
    start(ranks, ["-m", "alexnet_dist.cli", "doctor", *shared_flags(comparison), *folders])


def _measure_peak(comparison: Comparison, runs: Sequence[Run], start: Starter) -> None:
    """What MFU is held against on CPUs, which no data sheet tells."""
    records = [record for run in runs if (record := read_record(comparison, run)) is not None]
    if not records or records[0].summary["device_type"] != "cpu":
        return
    program = ["-m", "alexnet_dist.bench.baselines", "matrix", "--precision", comparison.train.precision]
    start(1, [*program, "--batch", "1", "--steps", "4", "--output", str(_peak_file(comparison))])
