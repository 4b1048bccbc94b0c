"""What the machine can do, measured once: the links between ranks, and on CPUs the rate of matrix products."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from alexnet_dist.compare.cases import Case, Run, case_flags, launcher_of
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.records import read_run
from alexnet_dist.launcher.launch_line import CLI
from alexnet_dist.telemetry.run_files import read_json


def pending_measurements(comparison: Comparison, runs: Sequence[Run]) -> dict[str, Callable[[], None]]:
    """What is not measured yet, by its name; each raises RunFailed where its ranks fail.

    Args:
        runs: all of the comparison's.
    """
    pending, largest = dict[str, Callable[[], None]](), max((run.case for run in runs), key=lambda case: case.ranks)
    if largest.ranks > 1 and read_json(_links_file(comparison, largest.ranks)) is None:
        pending["the links between ranks"] = partial(_measure_links, comparison, largest)
    if comparison.compare.peak and read_json(_peak_file(comparison)) is None:
        pending["the rate of matrix products"] = partial(_measure_peak, comparison, runs)
    return pending


def read_links(comparison: Comparison, ranks: int) -> list[dict[str, Any]]:
    """The links between `ranks` ranks: what, where, ranks, latency in seconds, bandwidth in bytes/s sent by a rank."""
    links: list[dict[str, Any]] = (read_json(_links_file(comparison, ranks)) or {}).get("links", [])
    return links


def read_peak(comparison: Comparison) -> float | None:
    """Operations per second of one host's CPU; None where it was not measured."""
    rate = (read_json(_peak_file(comparison)) or {}).get("rate")
    return float(rate) if isinstance(rate, int | float) else None


def _links_file(comparison: Comparison, ranks: int) -> Path:
    return comparison.folder / f"links-{ranks}.json"


def _peak_file(comparison: Comparison) -> Path:
    return comparison.folder / f"peak-{comparison.train.precision}.json"


def _measure_links(comparison: Comparison, case: Case) -> None:
    output = _links_file(comparison, case.ranks)
    output.unlink(missing_ok=True)  # one that was cut short; doctor replaces no file
    folders = ["--output", str(output), "--run.dir", str(comparison.folder / "runs" / "links")]
    launcher_of(comparison, "links").launch(case.ranks, [*CLI, "doctor", *case_flags(comparison, case), *folders])


def _measure_peak(comparison: Comparison, runs: Sequence[Run]) -> None:
    """The peak that MFU refers to on CPUs, whose data sheets do not give one."""
    finished = [found for run in runs if (found := read_run(comparison, run)) is not None]
    if not finished or finished[0].summary["device_type"] != "cpu":
        return
    program = ["-m", "alexnet_dist.telemetry.matrix_rate", "--precision", comparison.train.precision]
    launcher_of(comparison, "peak").launch(1, [*program, "--output", str(_peak_file(comparison))])
