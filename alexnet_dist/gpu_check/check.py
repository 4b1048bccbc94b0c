"""Runs the check: starts workers, ends those that take too long, and reports."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from alexnet_dist.gpu_check.lines import LINES, Line
from alexnet_dist.gpu_check.worker import FAILED, WHERE
from alexnet_dist.telemetry.run_files import write_json

WIDTH = 100


def run_lines(
    device: str, say: Callable[[str], None], lines: Sequence[Line] = LINES, form: str = "whole"
) -> list[dict[str, Any]]:
    """Run lines one after the other; one that fails or takes too long does not stop the rest.

    Args:
        device: "cuda:0", or "cpu" in tests.
        say: called with each line's name before it starts.

    Returns:
        Each line's name, result, seconds, figures, and where it failed, reason and traceback.
    """
    results: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="alexnet-check-") as folder:
        output = Path(folder, "results")
        while len(results) < len(lines):
            left = lines[len(results) :]
            names = [line.name for line in left]
            line = [sys.executable, "-m", "alexnet_dist.gpu_check.worker", device, form, str(output), *names]
            with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as worker:
                late = _follow(worker, left, len(results), output, say)
                reason = _end(worker, left[0].limit if late else None)
            found = _read(output)
            if len(found) == len(results):  # it ended, or was ended, before the line was done
                entry = {"name": names[0], "result": FAILED, "seconds": left[0].limit, "figures": {}}
                found.append(entry | {"reason": reason, "traceback": ""})
                output.write_text("".join(json.dumps(entry) + "\n" for entry in found))
            results = found
    return results


def _follow(
    worker: "subprocess.Popen[str]", lines: Sequence[Line], before: int, output: Path, say: Callable[[str], None]
) -> bool:
    """Wait until a worker has done its lines or has ended. True where one takes too long."""
    for number, line in enumerate(lines, start=before + 1):
        say(line.name)
        deadline = time.monotonic() + line.limit
        while len(_read(output)) < number:
            if worker.poll() is not None:
                return False
            if time.monotonic() > deadline:
                return True
            time.sleep(0.1)
        if _read(output)[-1]["result"] == FAILED:
            return False
    return False


def _end(worker: "subprocess.Popen[str]", limit: float | None) -> str:
    """End a worker and all that it started.

    Args:
        limit: seconds that its line was given, where it took longer.

    Returns:
        Why the line is not done.
    """
    if limit is not None:
        worker.send_signal(WHERE)
        with suppress(subprocess.TimeoutExpired):
            worker.wait(0.5)
    if worker.poll() is None:
        for process in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
            process.kill()
    printed = (worker.stderr.read() if worker.stderr else "").strip().splitlines()
    if limit is None:
        return printed[-1] if printed else f"ended with exit code {worker.wait()}"
    where = next((line.strip() for line in printed if "/alexnet_dist/" in line and line.startswith("  File ")), "")
    return f"not finished within {limit:.0f} s{where and f': {where}'}"


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
