"""What a precision means: dtypes, Accelerate's name for it, and torch's switches."""

import torch

from alexnet_dist.errors import Refusal
from alexnet_dist.strategies.base import Dtypes

_DTYPES = {
    "fp64": Dtypes(torch.float64, torch.float64),
    "fp32": Dtypes(torch.float32, torch.float32),
    "tf32": Dtypes(torch.float32, torch.float32),
    "bf16": Dtypes(torch.float32, torch.bfloat16),
    "fp16": Dtypes(torch.float32, torch.float16),
}


def dtypes_of(precision: str) -> Dtypes:
    return _DTYPES[precision]


def mixed_precision_of(precision: str) -> str:
    """Accelerate's `mixed_precision`: which dtype autocast computes in, or "no"."""
    return precision if precision in ("bf16", "fp16") else "no"


def check_precision(precision: str, device: torch.device) -> list[str]:
    """What the device makes of a precision.

    Returns:
        Warnings, one line each.

    Raises:
        Refusal: the device has no such arithmetic.
    """
    if precision == "tf32" and device.type != "cuda":
        raise Refusal("train.precision", "tf32", "only NVIDIA GPUs have it: use fp32 here")
    if precision == "fp16" and device.type != "cuda":
        raise Refusal(
            "train.precision", "fp16", "Accelerate would silently train in fp32 on a CPU: use fp32 or bf16 here"
        )
    if precision == "bf16" and device.type == "cpu" and not cpu_multiplies_bf16():
        return ["train.precision: bf16 is emulated by this CPU (no AVX-512, no AMX): a hundred times slower than fp32"]
    return []


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for it; without, torch emulates."""
    # Torch before 2.14 cannot say: then nothing is claimed.
    capabilities = getattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})()
    return any(capabilities.get(name) for name in ("avx512_bw", "avx512_bf16", "amx_bf16", "bf16"))


def set_switches(precision: str) -> None:
    """Let fp32 mean fp32 (torch multiplies convolutions in TF32 by default), and cuDNN choose by measuring."""
    torch.backends.cudnn.benchmark = True
    setattr(torch.backends, "fp32_precision", "tf32" if precision == "tf32" else "ieee")  # noqa: B010 - untyped module
