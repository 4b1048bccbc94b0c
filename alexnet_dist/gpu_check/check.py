"""Runs the check: starts workers, ends those that take too long, and reports."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from alexnet_dist.gpu_check.lines import LINES, Line
from alexnet_dist.telemetry.run_files import write_json

WIDTH = 100
FAILED = "failed"


def run_lines(
    device: str, say: Callable[[str], None], lines: Sequence[Line] = LINES, form: str = "whole"
) -> list[dict[str, Any]]:
    """Run lines one after the other; one that fails or takes too long does not stop the rest.

    Args:
        device: "cuda:0", or "cpu" in tests.
        say: is told of each line before it starts.

    Returns:
        Each line's name, result, seconds, figures and reason.
    """
    results: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="alexnet-check-") as folder:
        output = Path(folder, "results")
        while len(results) < len(lines):
            left = lines[len(results) :]
            names = [line.name for line in left]
            line = [sys.executable, "-m", "alexnet_dist.gpu_check.worker", device, form, str(output), *names]
            with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as worker:
                _follow(worker, left, len(results), output, say)
                _end(worker)
                error = (worker.stderr.read() if worker.stderr else "").strip().splitlines()
            found = _read(output)
            if len(found) == len(results):  # it ended, or was ended, before the line was done
                reason = error[-1] if error else f"not finished within {left[0].limit:.0f} s"
                found.append(
                    {"name": names[0], "result": FAILED, "seconds": left[0].limit, "figures": {}, "reason": reason}
                )
                output.write_text("".join(json.dumps(entry) + "\n" for entry in found))
            results = found
    return results


def _follow(
    worker: "subprocess.Popen[str]", lines: Sequence[Line], before: int, output: Path, say: Callable[[str], None]
) -> None:
    """Wait until a worker has done its lines, has ended, or takes too long for one."""
    for number, line in enumerate(lines, start=before + 1):
        say(line.name)
        deadline = time.monotonic() + line.limit
        while len(_read(output)) < number:
            if worker.poll() is not None or time.monotonic() > deadline:
                return
            time.sleep(0.1)
        if _read(output)[-1]["result"] == FAILED:
            return


def _end(worker: "subprocess.Popen[str]") -> None:
    """End a worker and all that it started."""
    if worker.poll() is None:
        for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
            process.kill()


def _read(output: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in output.read_text().splitlines()] if output.exists() else []


def report(results: Sequence[dict[str, Any]], output: Path) -> bool:
    """Print a table, write the JSON, and say whether nothing failed."""
    table = Table()
    for column in ("line", "result", "s", "found"):
        table.add_column(column, overflow="fold", justify="right" if column == "s" else "left")
    for entry in results:
        figures = "\n".join(f"{name}: {value}" for name, value in entry["figures"].items())
        table.add_row(entry["name"], entry["result"], f"{entry['seconds']:.0f}", figures or entry["reason"])
    Console(width=WIDTH, highlight=False, markup=False).print(table)
    write_json(output, {"lines": list(results)})
    return all(entry["result"] != FAILED for entry in results)
