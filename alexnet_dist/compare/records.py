"""What the runs of a comparison left in their folders."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alexnet_dist.compare.cases import Run, experiment_of, run_folder
from alexnet_dist.compare.config import Comparison
from alexnet_dist.telemetry.run_files import CONFIG, EXIT, METRICS, SUMMARY, write_json

FAILURES = "failures.json"


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        steps: the measured lines of metrics.jsonl: warm-up cut, and the short last batch of an epoch.
        losses: of all steps.
        summary: summary.json.
    """

    steps: list[dict[str, Any]]
    losses: list[float | None]
    summary: dict[str, Any]


def read_record(comparison: Comparison, run: Run) -> Record | None:
    """What a run recorded; None where it is not there or did not finish."""
    folder = run_folder(comparison, run)
    if not ended_well(folder):
        return None
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    measured = [line for line in lines[comparison.compare.warm_up :] if line["samples"] == run.case.global_batch]
    return Record(measured, [line["loss"] for line in lines], json.loads((folder / SUMMARY).read_text()))


def ended_well(folder: Path) -> bool:
    """Whether a run finished there."""
    if not ((folder / EXIT).exists() and (folder / SUMMARY).exists()):
        return False
    return bool(json.loads((folder / EXIT).read_text())["code"] == 0)


def difference(comparison: Comparison, run: Run) -> str | None:
    """What sets the run in the folder apart from the one that the comparison wants, in words; None: nothing."""
    found = yaml.safe_load((run_folder(comparison, run) / CONFIG).read_text())
    wanted = experiment_of(comparison, run.case, run).model_dump()
    for group, fields in wanted.items():
        for field, value in fields.items():
            before = found.get(group, {}).get(field)
            if before != value:
                return f"{group}.{field} was {before} and is {value} now"
    return None


def read_failures(comparison: Comparison) -> dict[str, str]:
    """Why runs failed, by name."""
    path = comparison.folder / FAILURES
    failures: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return failures


def note_failure(comparison: Comparison, run: Run, reason: str | None) -> None:
    """Write down why a run failed, or forget it."""
    failures = read_failures(comparison)
    before = dict(failures)
    failures.pop(run.name, None)
    if reason is not None:
        failures[run.name] = reason
    if failures != before:
        write_json(comparison.folder / FAILURES, failures)
