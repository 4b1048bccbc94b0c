"""What the runs of a comparison recorded in their folders."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from alexnet_dist.compare.cases import Case, Run, experiment_of, measured_steps, run_folder
from alexnet_dist.compare.config import Comparison
from alexnet_dist.config.load import read_file, validate
from alexnet_dist.errors import DONE, UsageError
from alexnet_dist.telemetry.run_files import CONFIG, EXIT, METRICS, read_json, read_metrics, read_summary, write_json

FAILURES = "failures.json"
MOST_STEPS = 100_000  # of a run


@dataclass(frozen=True)
class FinishedRun:
    """What one run recorded.

    Attributes:
        steps: the measured lines of metrics.jsonl: without warm-up, and without the short last batch of an epoch.
        losses: of all steps.
        summary: summary.json.
    """

    steps: list[dict[str, Any]]
    losses: list[float | None]
    summary: dict[str, Any]


def read_run(comparison: Comparison, run: Run) -> FinishedRun | None:
    """What a run recorded; None where it was not started or did not finish."""
    folder = run_folder(comparison, run)
    if not has_finished(folder):
        return None
    lines = read_metrics(folder)
    summary = read_summary(folder)
    assert summary is not None, "has finished"
    measured = [line for line in lines[comparison.compare.warm_up :] if line["samples"] == run.case.global_batch]
    return FinishedRun(measured, [line["loss"] for line in lines], summary)


def read_rounds(comparison: Comparison, case: Case, control: bool = False) -> list[FinishedRun]:
    """The case's finished runs, round by round, up to the first that is missing."""
    found = []
    for number in range(1, comparison.compare.rounds + 1):
        run = read_run(comparison, Run(case, number, control))
        if run is None or not run.steps:
            break
        found.append(run)
    return found


def steps_wanted(comparison: Comparison, run: Run) -> int | None:
    """How many steps a case needs to last for `compare.seconds`, where its first run was shorter.

    Returns:
        None where it was not, or where the case has been given more steps already.
    """
    found, wanted = read_run(comparison, run), comparison.compare
    decided = run.control or run.round > 1 or measured_steps(comparison, run.case) > wanted.steps
    if decided or found is None or not found.steps:
        return None
    seconds = [step["seconds"] for step in found.steps]
    if sum(seconds) >= wanted.seconds:
        return None
    # By the median step: the first ones on a GPU may be slow, while kernels are chosen.
    return min(MOST_STEPS, max(wanted.steps + 1, ceil(wanted.seconds / median(seconds))))


def has_finished(folder: Path) -> bool:
    """Whether a run finished there, and its whole record is there."""
    ended = read_json(folder / EXIT)
    whole = ended is not None and ended.get("code") == DONE and read_summary(folder) is not None
    return whole and (folder / METRICS).exists()


def changed_setting(comparison: Comparison, run: Run) -> str | None:
    """The first setting in which the run in the folder differs from the wanted one, in words; None: in nothing.

    The path of the run's folder does not count: the comparison may have been moved.
    """
    try:
        found = validate(read_file(str(run_folder(comparison, run) / CONFIG)), stored=True).model_dump()
    except UsageError:
        return "its settings cannot be read"
    for group, fields in experiment_of(comparison, run.case, run).model_dump().items():
        for field, value in fields.items():
            if found[group][field] != value and (group, field) != ("run", "dir"):
                return f"{group}.{field} was {found[group][field]} and is {value} now"
    return None


def read_failures(comparison: Comparison) -> dict[str, str]:
    """Why runs failed, by name."""
    return read_json(comparison.folder / FAILURES) or {}


def record_failure(comparison: Comparison, run: Run, reason: str | None) -> None:
    """Record why a run failed; None removes what an earlier attempt recorded."""
    before = read_failures(comparison)
    failures = {name: text for name, text in before.items() if name != run.name}
    if reason is not None:
        failures[run.name] = reason
    if failures != before:
        write_json(comparison.folder / FAILURES, failures)
