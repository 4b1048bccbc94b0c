"""The results file of the check: workers append to it line by line, and the check reads it meanwhile."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PASSED, IMPOSSIBLE, FAILED, RUNNING, NOT_REACHED = "passed", "not possible", "failed", "running", "not reached"
UNFINISHED = {"result": RUNNING, "seconds": 0.0, "reason": "", "traceback": ""}

Entry = dict[str, Any]


def append(path: Path, name: str, figures: Mapping[str, object] = {}, **values: object) -> None:
    """Add figures, or other values, to what is known of a line of the check."""
    text = json.dumps({"name": name, "figures": figures, **values}, default=str) + "\n"
    with path.open("ab", buffering=0) as file:  # in one piece, even if this process is killed
        file.write(text.encode())


def read(path: Path) -> list[Entry]:
    """What is known of each line that has begun."""
    entries: dict[str, Entry] = {}
    for text in path.read_text().splitlines(keepends=True) if path.exists() else ():
        if text.endswith("\n"):
            event = json.loads(text)
            entry = entries.setdefault(event["name"], {"name": event["name"], **UNFINISHED, "figures": {}})
            entry["figures"] |= event.pop("figures")
            entry |= event
    return list(entries.values())
