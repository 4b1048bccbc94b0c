"""The files that a run leaves, as tests read them."""

import json
from pathlib import Path
from typing import Any


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def exit_of(folder: Path) -> dict[str, Any]:
    """Code and reason of a run's exit.json."""
    values = json.loads((folder / "exit.json").read_text())
    return {name: values[name] for name in ("code", "reason")}
