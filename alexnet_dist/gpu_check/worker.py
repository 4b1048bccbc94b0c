"""Runs lines of the check in one process: python -m alexnet_dist.gpu_check.worker DEVICE FORM OUTPUT NAME…

Appends a JSON object a line to OUTPUT. Ends at the first line that fails: a GPU's error may affect those after it. On
SIGUSR1, prints where it is.
"""

import faulthandler
import json
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from alexnet_dist import registry
from alexnet_dist.errors import reason_of
from alexnet_dist.gpu_check.lines import LINES
from alexnet_dist.gpu_check.setup import NotPossible, Setup

WHERE = signal.SIGUSR1
PASSED, IMPOSSIBLE, FAILED = "passed", "not possible", "failed"


def main(device: str, form: str, output: str, *names: str) -> None:
    faulthandler.register(WHERE, all_threads=False)
    setup = Setup(torch.device(device), form == "small")
    for line in (line for line in LINES if line.name in names):
        start, result = time.perf_counter(), PASSED
        figures, reason, trace = {}, "", ""
        try:
            figures = registry.load(line.function)(setup)
        except NotPossible as why:
            result, reason = IMPOSSIBLE, str(why)
        except Exception as error:
            result, reason, trace = FAILED, reason_of(error), traceback.format_exc()
        entry = {"name": line.name, "result": result, "seconds": time.perf_counter() - start, "figures": figures}
        _append(Path(output), entry | {"reason": reason, "traceback": trace})
        if result == FAILED:
            return


def _append(path: Path, entry: dict[str, object]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
