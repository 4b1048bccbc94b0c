"""The files of a run's folder: their names, and how they are read and written. Imports nothing heavy."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.errors import UsageError

CONFIG, METRICS, EVALUATION, SUMMARY = "config.yaml", "metrics.jsonl", "evaluation.json", "summary.json"
EXIT, TRACE, LAUNCHER = "exit.json", "trace.json", "launcher.json"

# Of metrics.jsonl (in each line) and summary.json. It goes up when a field changes its meaning, not when one is added;
# files without a number are older than the first.
FORMAT = 1


def read_json(path: Path) -> dict[str, Any] | None:
    """An object from a file; None where the file is missing or not whole."""
    try:
        values: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return values


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, one a step; the last line of a run that was killed may be half written.

    Raises:
        UsageError: a newer version of this program wrote them.
    """
    lines: list[dict[str, Any]] = []
    try:
        with (folder / METRICS).open() as file:
            for text in file:
                line = json.loads(text)
                if "step" not in line:
                    break
                lines.append(line)
    except (OSError, ValueError, TypeError):
        pass
    newest = max((line.get("format", 0) for line in lines), default=0)
    if newest > FORMAT:
        raise UsageError(str(folder / METRICS), f"format {newest}", f"this version reads up to format {FORMAT}")
    return lines


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write whole or not at all: into a temporary file beside it, then renamed."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(finite(values), indent=2) + "\n")
    temporary.replace(path)


def write_exit(folder: Path, code: int, reason: str) -> None:
    """How a run ended, in its folder; a folder that cannot be written is no second failure."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / EXIT, {"code": code, "reason": reason})
    except OSError:
        pass
