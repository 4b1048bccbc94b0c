"""The response norm's kernels against their formula, in several processes: Triton takes a second to compile each.

As a program: python -m alexnet_dist.gpu_check.norm DEVICE FORM PART PARTS compares every PARTS-th case, and prints for
each a JSON list: its dtype, the case, its error in units of the tolerance.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from signal import SIGKILL
from tempfile import TemporaryFile
from threading import Timer

import torch

from alexnet_dist.costs.units import counted
from alexnet_dist.distributed.cores import available_cores
from alexnet_dist.errors import reason_of
from alexnet_dist.gpu_check.setup import Figures, Setup, require
from alexnet_dist.kernels import check

PROCESSES = 8  # at most
PROCESS_BYTES = 1 << 30  # of a GPU's memory: CUDA, its libraries and some images
PATIENCE = 50.0  # seconds, within the line's limit: what other processes found is reported
PATIENCE_SMALL = 300.0  # of the small form, which tests run beside others

Found = tuple[str, str, float]  # a case's dtype, the case, its error in units of the tolerance


def norm(setup: Setup) -> Figures:
    """The largest error by dtype, in units of its tolerance; each when all cases of the dtype are compared."""
    parts, queue = _processes(setup), SimpleQueue[Found | str]()
    cases = [str(case.dtype) for case in check.cases(setup.device, _shape(setup.small)[1])]
    errors, wrong, ends = defaultdict[str, list[float]](list), list[str](), list[str]()
    with ThreadPoolExecutor(parts) as pool:
        for part in range(parts):
            pool.submit(_compare, setup, part, parts, queue)
        while len(ends) < parts:
            found = queue.get()
            if isinstance(found, str):
                ends.append(found)
                continue
            dtype, case, error = found
            errors[dtype].append(error)
            if not error <= 1:
                wrong.append(f"{case}: {error:.1f} times the tolerance")
            if len(errors[dtype]) == cases.count(dtype):
                yield dtype, _largest(errors[dtype])
    for dtype in dict.fromkeys(cases):
        if len(errors[dtype]) < cases.count(dtype):
            yield dtype, f"{_largest(errors[dtype])} of {cases.count(dtype)}"
    problems = [*wrong, *filter(None, ends)]
    require(not problems, "; ".join(problems))


def _processes(setup: Setup) -> int:
    if not setup.on_gpu:
        return 1
    free, _ = torch.cuda.mem_get_info(setup.device)
    return max(1, min(PROCESSES, available_cores(), free // PROCESS_BYTES))


def _shape(small: bool) -> tuple[int, int, int, int]:
    """Of the images: (batch, channels, height, width)."""
    return (2, 16, 5, 5) if small else (8, 96, 27, 27)


def _largest(errors: list[float]) -> str:
    return f"{max(errors, default=0.0):.2f} of the tolerance at most, {counted(len(errors), 'case')}"


def _compare(setup: Setup, part: int, parts: int, queue: "SimpleQueue[Found | str]") -> None:
    """Put each finding of a process into the queue as it comes; last, why it did not finish, or ""."""
    try:
        problem = _problem(setup, part, parts, queue)
    except Exception as error:  # else the queue would be waited for in vain
        problem = reason_of(error)
    queue.put(f"process {part}: {problem}" if problem else "")


def _problem(setup: Setup, part: int, parts: int, queue: "SimpleQueue[Found | str]") -> str:
    form, patience = ("small", PATIENCE_SMALL) if setup.small else ("whole", PATIENCE)
    program = [sys.executable, "-m", __name__, str(setup.device), form, str(part), str(parts)]
    with (
        TemporaryFile("w+") as printed,  # no pipe, which a broken kernel's many messages would fill
        subprocess.Popen(program, stdout=subprocess.PIPE, stderr=printed, text=True) as process,
    ):
        limit = Timer(patience, process.kill)
        began = time.monotonic()
        limit.start()
        assert process.stdout is not None
        try:
            for text in process.stdout:
                dtype, case, error = json.loads(text)
                queue.put((dtype, case, error))
            code, took = process.wait(), time.monotonic() - began
        finally:
            limit.cancel()
            process.kill()
        printed.seek(0)
        lines = [line.strip() for line in printed if line.strip()]
    if code == -SIGKILL and took >= patience:
        return f"not finished within {patience:.0f} s"
    if code:
        return lines[-1] if lines else f"exit code {code}"
    return ""


def main(device: str, form: str, part: str, parts: str) -> None:
    shape, place = _shape(form == "small"), torch.device(device)
    for case in islice(check.cases(place, shape[1]), int(part), None, int(parts)):
        error = max(check.errors(case, place, shape)) / check.TOLERANCES[case.dtype]
        print(json.dumps([str(case.dtype), str(case), error]), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(reason_of(error))  # its last line is told
