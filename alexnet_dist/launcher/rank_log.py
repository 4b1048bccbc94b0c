"""A log for each rank, logs/rank-N.log in the run directory: output kept off the console. Imports nothing heavy.

The first rank has the console. What the others and their libraries print goes to their logs, and so does the trace of
any rank that fails. Only why a run ended is printed by whichever rank knows it.
"""

import atexit
import os
import sys
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path

from alexnet_dist.telemetry.run_files import LOGS

_console: int | None = None  # the original stderr, once stderr goes to the log


def log_path(folder: Path, rank: int) -> Path:
    return folder / LOGS / f"rank-{rank}.log"


def log_output(folder: Path, rank: int) -> None:
    """From now on, what a rank other than the first prints goes to its log; to the console where that is impossible."""
    global _console
    if rank == 0 or _console is not None:
        return
    path = log_path(folder, rank)
    try:
        path.parent.mkdir(exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError:
        return
    _console = os.dup(2)
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.dup2(log, descriptor)
    os.close(log)
    atexit.register(partial(_remove_empty, path))


def print_on_console(line: str) -> None:
    """Print a line on stderr as it was before `log_output`."""
    if _console is None:
        print(line, file=sys.stderr, flush=True)
    else:
        with suppress(OSError):  # output may be lost
            os.write(_console, f"{line}\n".encode(errors="backslashreplace"))


def log_trace(folder: Path | None, rank: int) -> None:
    """Write the trace of the exception that is being handled to the rank's log; without a folder, to the console."""
    error = sys.exception()
    if folder is not None:
        path = log_path(folder, rank)
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            with path.open("a") as file:
                traceback.print_exception(error, file=file)
            return
    traceback.print_exception(error)


def _remove_empty(path: Path) -> None:
    with suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()
            path.parent.rmdir()  # fails where others' logs are
