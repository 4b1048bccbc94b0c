"""Runs lines of the check in one process: python -m alexnet_dist.gpu_check.worker DEVICE FORM RESULTS NAME…

Ends at the first line that fails: a GPU's error may affect those after it. Prints a traceback on SIGUSR1, and when it
crashes.
"""

import faulthandler
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from alexnet_dist import registry
from alexnet_dist.errors import reason_of
from alexnet_dist.gpu_check.lines import LINES, Line
from alexnet_dist.gpu_check.results import FAILED, IMPOSSIBLE, PASSED, append
from alexnet_dist.gpu_check.setup import NotPossible, Setup
from alexnet_dist.launcher.out_of_memory import out_of_memory

TRACEBACK_SIGNAL = signal.SIGUSR1


def main(device: str, form: str, output: str, *names: str) -> None:
    faulthandler.enable()
    faulthandler.register(TRACEBACK_SIGNAL, all_threads=False)
    setup = Setup(torch.device(device), form == "small")
    for line in (line for line in LINES if line.name in names):
        if not _passes(line, setup, Path(output)):
            return


def _passes(line: Line, setup: Setup, output: Path) -> bool:
    """Run a line, and write what it finds when it finds it."""
    append(output, line.name)
    start, result, reason, trace = time.perf_counter(), PASSED, "", ""
    try:
        for name, value in registry.load(line.function)(setup):
            append(output, line.name, {name: value})
        setup.settle()  # an error of the device belongs to the line that caused it
    except NotPossible as why:
        result, reason = IMPOSSIBLE, str(why)
    except Exception as error:
        asked_for = out_of_memory(error)
        reason = reason_of(error) if asked_for is None else f"out of memory ({asked_for})"
        result, trace = FAILED, traceback.format_exc()
    append(output, line.name, result=result, seconds=time.perf_counter() - start, reason=reason, traceback=trace)
    return result != FAILED


if __name__ == "__main__":
    main(*sys.argv[1:])
