"""The files of a run directory: their names, and how they are read and written. Imports nothing heavy."""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from alexnet_dist.costs.units import counted
from alexnet_dist.errors import UsageError
from alexnet_dist.telemetry.step_record import StepRecord

CONFIG, METRICS, EVALUATION, SUMMARY = "config.yaml", "metrics.jsonl", "evaluation.json", "summary.json"
EXIT, TRACE, LAUNCHER, LOCK = "exit.json", "trace.json", "launcher.json", "run.lock"
LOGS, FILTERS = "logs", "filters"
TRACE_TEMPORARY = f"{TRACE}.tmp"  # torch's, which renames it

# Of metrics.jsonl (in each line), summary.json and exit.json. It goes up when their fields change.
FORMAT = 2


def read_json(path: Path) -> dict[str, Any] | None:
    """An object from a file; None where the file is missing, not whole, or holds something else."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


class Fields(dict[str, Any]):
    """The contents of one of this program's JSON files.

    Args:
        path: of the file.

    Raises:
        UsageError: on access to a field that it lacks.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise UsageError(str(self._path), f"no {name}", "it was changed, or is of another program or version")


def read_summary(folder: Path) -> Fields | None:
    """The summary of a finished run; None where there is none."""
    values = read_json(folder / SUMMARY)
    return None if values is None else Fields(folder / SUMMARY, values)


def read_metrics(folder: Path, say: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, one a step; the last line of a killed run may be incomplete.

    Args:
        say: gets a warning about other damaged lines, which are left out.

    Raises:
        UsageError: another version of this program wrote them.
        OSError: the file is there and cannot be read.
    """
    try:
        *texts, cut_short = (folder / METRICS).read_text(errors="replace").split("\n")
    except FileNotFoundError:
        return []
    lines = [line for text in [*texts, cut_short] if (line := _step_line(text)) is not None]
    if others := {line["format"] for line in lines} - {FORMAT}:
        raise UsageError(str(folder / METRICS), f"format {max(others)}", f"this version reads format {FORMAT}")
    if damaged := [number for number, text in enumerate(texts, 1) if _step_line(text) is None]:
        count = counted(len(damaged), "damaged line")
        say(f"warning: {folder / METRICS}: left out {count}, of which the first is line {damaged[0]}")
    return lines


def _step_line(text: str) -> dict[str, Any] | None:
    """A line of metrics.jsonl; None where it is damaged. Another format may have other fields."""
    try:
        line = json.loads(text)
        if line["format"] == FORMAT:
            StepRecord.of_line(line)
        return line if isinstance(line["format"], int) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def temporary_name(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.tmp")


def write_text(path: Path, text: str) -> None:
    """Write completely or not at all: into a temporary file next to it, which is then renamed."""
    temporary = temporary_name(path)
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write completely or not at all; NaN and infinity become null."""
    write_text(path, json.dumps(finite(values), indent=2) + "\n")


def write_exit(folder: Path, code: int, reason: str) -> OSError | None:
    """Record in a run directory how the run ended.

    Returns:
        Why it could not be written, or None.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / EXIT, {"format": FORMAT, "code": code, "reason": reason})
    except OSError as error:
        return error
    return None
