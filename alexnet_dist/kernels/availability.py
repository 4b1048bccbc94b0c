"""Which kernels run on a device, and why others do not."""

from functools import cache

import torch

from alexnet_dist.kernels.cpu_kernels import build_problem

SLOWLY = "computed with torch's operations, several times slower"


def triton_runs_on(device: torch.device) -> bool:
    """Whether the Triton kernels run on a device: a GPU of NVIDIA's or AMD's, where Triton can compile."""
    return device.type == "cuda" and triton_problem() is None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch.compile does not look inside
@cache
def triton_problem() -> str | None:
    """Why Triton does not run on this machine's GPUs, as half a line."""
    try:
        import triton

        triton.runtime.driver.active.get_current_target()  # compiles a small library with the machine's C compiler
    except Exception as error:  # Triton passes on whatever was raised
        return f"Triton does not run: {str(error).strip().splitlines()[0] if str(error) else type(error).__name__}"
    return None


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
