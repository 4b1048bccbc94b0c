"""What a precision means: dtypes, Accelerate's name for it, and torch's switches."""

import torch

from alexnet_dist.errors import UsageError
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


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse arithmetic that the device does not have.

    Raises:
        UsageError: with what to use instead.
    """
    on_gpu = device.type == "cuda"
    if precision == "tf32" and not (on_gpu and torch.cuda.get_device_capability(device) >= (8, 0)):
        raise UsageError("train.precision", "tf32", "only NVIDIA GPUs since Ampere have it: use fp32 here")
    if precision == "fp16" and not on_gpu:
        raise UsageError(
            "train.precision", "fp16", "on a CPU Accelerate silently trains in fp32: use fp32 or bf16 here"
        )


def precision_warnings(precision: str, device: torch.device) -> list[str]:
    """What is possible on the device but slow, one line each."""
    if precision != "bf16":
        return []
    if device.type == "cpu" and not cpu_multiplies_bf16():
        return ["train.precision: bf16 is emulated by this CPU (no AVX-512, no AMX): very much slower than fp32"]
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return ["train.precision: bf16 is emulated by this GPU: fp16 or fp32 is faster"]
    return []


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for it; without, torch emulates."""
    # Torch before 2.14 cannot say: then nothing is claimed.
    capabilities = getattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})()
    return any(capabilities.get(name) for name in ("avx512_bw", "avx512_bf16", "amx_bf16", "bf16"))


def set_switches(precision: str) -> None:
    """Let fp32 mean fp32 (torch multiplies convolutions in TF32 by default), and cuDNN choose by measuring.

    Raises:
        RuntimeError: torch did not take the setting.
    """
    torch.backends.cudnn.benchmark = True
    wanted = "tf32" if precision == "tf32" else "ieee"
    # Each by name: before torch 2.14 the general switch did not reach convolutions.
    for operation in (torch.backends.cuda.matmul, torch.backends.cudnn.conv):  # type: ignore[attr-defined]
        operation.fp32_precision = wanted
        if operation.fp32_precision != wanted:
            raise RuntimeError(f"torch {torch.__version__} does not take fp32_precision {wanted}")
