"""The folder through which `alexnet-dist launch` and the ranks it started talk with each other.

Signals sent to `accelerate launch` do not reach its workers, and it turns every exit code of theirs into 1; so the
supervisor asks ranks to stop by a file, and ranks tell it by a file each how they ended.
"""

import json
import os
from pathlib import Path
from typing import Any

from alexnet_dist.telemetry.run_files import write_json

CONTROL, RESTARTS = "ALEXNET_DIST_CONTROL", "ALEXNET_DIST_RESTARTS"
STOP, FIRST_FAILURE = "stop", "first_failure.json"


def control_folder() -> Path | None:
    """None under another launcher, and without one."""
    return Path(os.environ[CONTROL]) if os.environ.get(CONTROL) else None


def write_report(rank: int, told: dict[str, Any]) -> None:
    """Tell the supervisor, if there is one, how this rank ended."""
    folder = control_folder()
    if folder is not None:
        write_json(folder / f"rank-{rank}.json", told)


def read_reports(folder: Path) -> dict[int, dict[str, Any]]:
    """What the ranks of this machine told, by rank."""
    paths = folder.glob("rank-*.json")
    return {int(path.stem.removeprefix("rank-")): json.loads(path.read_text()) for path in paths}


def write_first_failure(rank: int, exitcode: int) -> None:
    """What a launcher saw: the rank that failed first, and its exit code (negative: the signal that killed it)."""
    write_json(Path(os.environ[CONTROL], FIRST_FAILURE), {"rank": rank, "exitcode": exitcode})


def read_first_failure(folder: Path) -> dict[str, int] | None:
    path = folder / FIRST_FAILURE
    return json.loads(path.read_text()) if path.exists() else None
