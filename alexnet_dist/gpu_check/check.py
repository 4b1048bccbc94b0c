"""Runs the check: starts workers, and ends those that take too long or are broken."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from alexnet_dist.gpu_check.lines import LINES, Line
from alexnet_dist.gpu_check.results import FAILED, NOT_REACHED, RUNNING, Entry, append, read
from alexnet_dist.gpu_check.worker import TRACEBACK_SIGNAL
from alexnet_dist.launcher.processes import end_with_parent, process_tree
from alexnet_dist.temporary import temporary_folder

SECONDS = 470.0  # all lines together
STARTING = 100.0  # seconds until a worker begins a line: before its first, it may read torch from a cold disk
LEAVING = 5.0  # seconds that a worker has to end by itself

Changed = Callable[[list[Entry]], None]


def run_lines(
    device: str, changed: Changed, lines: Sequence[Line] = LINES, form: str = "whole", seconds: float = SECONDS
) -> list[Entry]:
    """Run lines one after the other; one that fails or takes too long does not stop the rest.

    A line that fails ends its worker, since what broke there may break the lines after it; they get a new one.

    Args:
        device: "cuda:0", or "cpu" in tests.
        changed: called with what is known so far, often.
        seconds: after which no line goes on.

    Returns:
        Each line's name, result, seconds, figures, and where it failed, reason and traceback.
    """
    ends = time.monotonic() + seconds
    with temporary_folder("alexnet-check-") as folder:
        output, printed = folder / "results", folder / "printed"
        left = lines
        while left and time.monotonic() < ends:
            worker = _start([device, form, str(output), *(line.name for line in left)], printed)
            lost, late = None, True
            try:
                lost = _follow(worker, left, output, ends, changed)
                late = lost is not None and worker.poll() is None
            finally:  # also where a signal ends the check
                _end(worker, late)
            left = lines[_finished(output) :]
            if left and lost is not None:
                reason, trace = _reason(worker.poll(), late, lost, printed.read_text(errors="replace"))
                append(output, left[0].name, result=FAILED, seconds=lost, reason=reason, traceback=trace)
                left = left[1:]
        for line in left:
            append(output, line.name, result=NOT_REACHED)
        changed(read(output))
        return read(output)


def _start(arguments: Sequence[str], printed: Path) -> "subprocess.Popen[bytes]":
    """Start a worker. What it prints goes to a file: a broken kernel's many messages would fill a pipe."""
    with printed.open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "alexnet_dist.gpu_check.worker", *arguments],
            stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=lambda: end_with_parent(signal.SIGKILL),
            env={**os.environ, "TMPDIR": str(printed.parent)},  # what a killed worker leaves is deleted, too
        )  # fmt: skip


def _follow(
    worker: "subprocess.Popen[bytes]", lines: Sequence[Line], output: Path, ends: float, changed: Changed
) -> float | None:
    """Wait until a worker has done its lines, one of them has failed, or one takes too long.

    Returns:
        Seconds that the worker has spent on a line without a result; None where there is no such line.
    """
    before = _finished(output)
    for number, line in enumerate(lines, start=before + 1):
        began, limit, begun = time.monotonic(), STARTING, False
        while True:
            ended = worker.poll() is not None  # before its results are read, so that the last of them count
            entries = read(output)
            changed(entries)
            if _finished(output) >= number:
                break
            if not begun and len(entries) >= number:
                began, limit, begun = time.monotonic(), line.limit, True
            if ended or time.monotonic() > min(began + limit, ends):
                return time.monotonic() - began
            time.sleep(0.1)
        if entries[number - 1]["result"] == FAILED:
            break
    return None


def _end(worker: "subprocess.Popen[bytes]", late: bool) -> None:
    """End a worker and all that it started. Does not wait for one that a driver holds."""
    if late:
        worker.send_signal(TRACEBACK_SIGNAL)
    with suppress(subprocess.TimeoutExpired):
        worker.wait(0.5 if late else LEAVING)
    tree = process_tree(worker.pid) if worker.poll() is None else []
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(tree, LEAVING)
    worker.poll()


def _reason(code: int | None, late: bool, seconds: float, printed: str) -> tuple[str, str]:
    """Why a line is not done: in one line, and the end of what its worker printed."""
    texts = [text.strip() for text in printed.splitlines() if text.strip()]
    where = next((text for text in texts if text.startswith("File ") and "/alexnet_dist/" in text), "")
    what = f"not finished within {seconds:.0f} s" if late else f"ended with exit code {code}"
    last = where or (texts[-1] if texts and not late else "")
    return f"{what}{last and f': {last}'}", printed[-4000:]


def _finished(output: Path) -> int:
    return sum(entry["result"] != RUNNING for entry in read(output))
