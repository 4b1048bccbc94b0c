"""The precisions of `train.precision`: dtypes, torch's switches, devices that support each, parity's tolerance.

torch is imported only where a device is examined or a switch is set: settings are checked without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alexnet_dist import registry
from alexnet_dist.errors import UsageError

if TYPE_CHECKING:
    import torch

    from alexnet_dist.config.schema import Experiment

TOLERANCE_SAMPLES = 128
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def _anywhere(device: torch.device) -> None:
    """Every device has it."""


def _no_warnings(device: torch.device) -> list[str]:
    return []


@dataclass(frozen=True)
class Precision:
    """One value of `train.precision`.

    Attributes:
        name: in settings.
        parameters: name in torch of the dtype of weights, gradients and optimizer state.
        compute: dtype of activations, and so of what crosses between towers.
        tolerance: largest ||a - b|| / ||b|| of a tensor at which parity calls two trainings the same, for batches of up
            to `TOLERANCE_SAMPLES` (see `tolerance_of`).
        compared: what must be within the tolerance. Coarser arithmetic is judged only by the first step's gradients:
            later steps drift apart in any correct program.
        autocast: Accelerate's `mixed_precision`.
        tf32: whether fp32 products may be computed in TF32.
        check: raises UsageError if a device does not support this precision.
        warnings: what is possible on a device but slow.
    """

    name: str
    parameters: str
    compute: str
    tolerance: float
    compared: tuple[str, ...] = ("gradient",)
    autocast: str = "no"
    tf32: bool = False
    check: Callable[[torch.device], None] = _anywhere
    warnings: Callable[[torch.device], list[str]] = _no_warnings

    @property
    def parameter_bytes(self) -> int:
        return BYTES[self.parameters]

    @property
    def compute_bytes(self) -> int:
        return BYTES[self.compute]

    def tolerance_of(self, samples: int) -> float:
        """The tolerance for a global batch of a given size.

        A gradient is a sum over the samples, and the rounding of a sum grows with the root of its terms: the worst fp32
        gradient of alexnet_2012 under ddp differs by 2e-6 at batch 32, 4e-6 at 128 and 6.7e-6 at 512.
        """
        return self.tolerance * max(1.0, (samples / TOLERANCE_SAMPLES) ** 0.5)


def _check_tf32(device: torch.device) -> None:
    import torch

    # AMD's GPUs report a capability, too, and torch then computes in fp32.
    if device.type != "cuda" or torch.version.hip or torch.cuda.get_device_capability(device) < (8, 0):
        raise UsageError("train.precision", "tf32", "only NVIDIA GPUs since Ampere have it: use fp32 here")


def _check_fp16(device: torch.device) -> None:
    if device.type != "cuda":
        raise UsageError(
            "train.precision", "fp16", "on a CPU Accelerate silently trains in fp32: use fp32 or bf16 here"
        )


def _warn_of_emulated_bf16(device: torch.device) -> list[str]:
    if multiplies_bf16(device):
        return []
    if device.type == "cuda":
        return ["train.precision: bf16 is emulated by this GPU: fp16 or fp32 is faster"]
    return ["train.precision: bf16 is emulated by this CPU (no AVX-512, no AMX): very much slower than fp32"]


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16; without them torch emulates it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return cpu_multiplies_bf16()


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for bf16; without them torch emulates it."""
    import torch

    # torch before 2.14 cannot tell: then there is no warning.
    capabilities = getattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})()
    return any(capabilities.get(name) for name in ("avx512_bw", "avx512_bf16", "amx_bf16", "bf16"))


def set_switches(precision: Precision) -> None:
    """Let fp32 mean fp32 (by default torch computes convolutions in TF32), and cuDNN choose algorithms by measuring.

    The two older switches are set, since torch.compile reads those and fails after the newer `fp32_precision`.
    """
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = precision.tf32
    torch.backends.cudnn.allow_tf32 = precision.tf32


for _precision in (
    Precision("fp64", "float64", "float64", 1e-12, ("loss", "gradient", "weight")),
    Precision("fp32", "float32", "float32", 1e-5),
    Precision("tf32", "float32", "float32", 1e-2, tf32=True, check=_check_tf32),
    Precision("bf16", "float32", "bfloat16", 3e-2, autocast="bf16", warnings=_warn_of_emulated_bf16),
    Precision("fp16", "float32", "float16", 1e-2, autocast="fp16", check=_check_fp16),
):
    registry.precisions.register(_precision)


def precision_of(experiment: Experiment) -> Precision:
    precision: Precision = registry.precisions[experiment.train.precision]
    return precision
