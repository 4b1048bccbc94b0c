"""Runs lines of the check in one process: python -m alexnet_dist.gpu_check.worker DEVICE FORM OUTPUT NAME…

Appends a JSON object a line to OUTPUT. Ends at the first line that fails: a GPU's error may spoil those after it.
"""

import json
import sys
import time
from pathlib import Path

import torch

from alexnet_dist import registry
from alexnet_dist.errors import reason_of
from alexnet_dist.gpu_check.lines import LINES
from alexnet_dist.gpu_check.setup import NotPossible, Setup

PASSED, IMPOSSIBLE, FAILED = "passed", "not possible", "failed"


def main(device: str, form: str, output: str, *names: str) -> None:
    setup = Setup(torch.device(device), form == "small")
    for line in (line for line in LINES if line.name in names):
        start, figures, reason, result = time.perf_counter(), {}, "", PASSED
        try:
            figures = registry.load(line.function)(setup)
        except NotPossible as why:
            result, reason = IMPOSSIBLE, str(why)
        except Exception as error:
            result, reason = FAILED, reason_of(error)
        seconds = time.perf_counter() - start
        _append(
            Path(output),
            {"name": line.name, "result": result, "seconds": seconds, "figures": figures, "reason": reason},
        )
        if result == FAILED:
            return


def _append(path: Path, entry: dict[str, object]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
