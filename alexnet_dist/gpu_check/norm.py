"""The response norm's kernels against their formula, in several processes: Triton takes a second to compile each.

As a program: python -m alexnet_dist.gpu_check.norm DEVICE FORM PART PARTS compares every PARTS-th case, and prints for
each a JSON list: its dtype, the case, its error in units of the tolerance.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch

from alexnet_dist.distributed.cores import available_cores
from alexnet_dist.gpu_check.setup import Figures, Setup, require
from alexnet_dist.kernels import check

PROCESSES = 8  # at most
PATIENCE = 50.0  # seconds, within the line's limit: what other processes found is reported


def norm(setup: Setup) -> Figures:
    """The largest error by dtype, in units of its tolerance."""
    parts = max(1, min(PROCESSES, available_cores())) if setup.on_gpu else 1
    with ThreadPoolExecutor(parts) as pool:
        done = list(pool.map(lambda part: _compared(setup, part, parts), range(parts)))
    found = [json.loads(text) for output, _ in done for text in output.splitlines()]
    for dtype in map(str, check.TOLERANCES):
        errors = [error for name, _, error in found if name == dtype]
        yield dtype, f"{max(errors, default=0.0):.2f} of the tolerance at most, {len(errors)} cases"
    wrong = [f"{case}: {error:.1f} times the tolerance" for _, case, error in found if not error <= 1]
    problems = [*wrong, *(problem for _, problem in done if problem)]
    require(not problems, "; ".join(problems))


def _compared(setup: Setup, part: int, parts: int) -> tuple[str, str]:
    """What a process printed, and why it did not finish; empty if it did."""
    program = [sys.executable, "-m", __name__, str(setup.device), "small" if setup.small else "whole"]
    try:
        done = subprocess.run([*program, str(part), str(parts)], capture_output=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(), f"process {part}: not finished within {PATIENCE:.0f} s"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    problem = f"process {part}: {lines[-1] if lines else done.returncode}" if done.returncode else ""
    return done.stdout.decode(), problem


def main(device: str, form: str, part: str, parts: str) -> None:
    shape = (2, 16, 5, 5) if form == "small" else (8, 96, 27, 27)
    place = torch.device(device)
    for case in islice(check.cases(place, shape[1]), int(part), None, int(parts)):
        error = max(check.errors(case, place, shape)) / check.TOLERANCES[case.dtype]
        print(json.dumps([str(case.dtype), str(case), error]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
