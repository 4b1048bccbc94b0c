"""Which kernels run on a device, and why others do not."""

from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from subprocess import CalledProcessError

import torch

from alexnet_dist.kernels.cpu_kernels import build_problem

SLOWLY = "computed with torch's operations, several times slower"
OLDEST = 70  # the lowest compute capability, times ten, of NVIDIA's GPUs that Triton supports


def triton_runs_on(device: torch.device) -> bool:
    """Whether the Triton kernels run on a device: a GPU of NVIDIA's or AMD's, where Triton can compile."""
    return device.type == "cuda" and triton_problem() is None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch.compile does not look inside
@cache
def triton_problem() -> str | None:
    """Why Triton does not run on this machine's GPUs, as half a line; compiles a small kernel to find out."""
    try:
        import triton

        from alexnet_dist.kernels.triton_masks import compile_for_this_gpu

        target = triton.runtime.driver.active.get_current_target()  # takes the machine's C compiler
        if target.backend == "cuda" and target.arch < OLDEST:
            return f"Triton needs sm_{OLDEST} or later, this GPU is sm_{target.arch}"
        with redirect_stdout(StringIO()):  # of a kernel that the assembler refuses, Triton prints every line
            compile_for_this_gpu()
    except Exception as error:  # Triton passes on whatever was raised
        return f"Triton does not run: {_reason(error)}"
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, CalledProcessError):  # what it said is on the console already
        advice = "" if "ldconfig" in error.cmd[0] else ": a C compiler and Python's headers (python3-dev) are needed"
        return f"{error.cmd[0]} failed{advice}"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "fatal" in line), [*lines, type(error).__name__][0]).strip()


def kernel_problem(device: torch.device) -> str | None:
    """Why no kernel can be compiled for a device, as half a line."""
    match device.type:
        case "cpu":
            return build_problem()
        case "cuda":
            return triton_problem()
    return f"no kernel for {device.type}"


def kernel_warnings(device: torch.device) -> list[str]:
    """Why response norms on a device cannot use a kernel of ours, as one line; none if they can."""
    problem = kernel_problem(device)
    return [f"response norm: {problem}: {SLOWLY}"] if problem else []
