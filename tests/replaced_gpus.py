"""Replaces what torch reports of GPUs: machines with other GPUs than this one."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

A100, L4, V100 = "NVIDIA A100-SXM4-80GB", "NVIDIA L4", "Tesla V100-SXM2-16GB"
GTX_1080, RTX_5090 = "NVIDIA GeForce GTX 1080", "NVIDIA GeForce RTX 5090"
CAPABILITIES = {A100: (8, 0), L4: (8, 9), V100: (7, 0), GTX_1080: (6, 1), RTX_5090: (12, 0)}


@dataclass(frozen=True)
class Machine:
    """Attributes:
    gpus: models, by number, all of which this process sees.
    usable: whether torch works with the driver.
    built: what torch has kernels for.
    """

    gpus: tuple[str, ...] = ()
    usable: bool = True
    built: str = "sm_70 sm_75 sm_80 sm_86 sm_90"

    def replace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make `torch.cuda` answer as on that machine."""

        def name(device: object = None) -> str:
            return self.gpus[torch.device(device or 0).index or 0]  # type: ignore[call-overload]

        def properties(device: object) -> SimpleNamespace:
            number = torch.device(device).index  # type: ignore[call-overload]
            return SimpleNamespace(name=self.gpus[number], uuid=f"uuid-{number}", total_memory=80 << 30)

        answers = {
            "is_available": lambda: self.usable and bool(self.gpus),
            "device_count": lambda: len(self.gpus),  # NVML's count: it does not ask the driver whether it is too old
            "current_device": lambda: 0,
            "get_device_name": name,
            "get_device_properties": properties,
            "get_arch_list": self.built.split,
            "get_device_capability": lambda device: CAPABILITIES[name(device)],
            "is_bf16_supported": lambda including_emulation: CAPABILITIES[name()] >= (8, 0),
        }
        for function, answer in answers.items():
            monkeypatch.setattr(torch.cuda, function, answer)
        for variable in ("CUDA_VISIBLE_DEVICES", "ACCELERATE_USE_CPU"):  # Accelerate sets the second in this process
            monkeypatch.delenv(variable, raising=False)


NO_GPU, ONE, TWO, EIGHT = Machine(), Machine((A100,)), Machine((A100,) * 2), Machine((A100,) * 8)
MIXED, OLD_DRIVER = Machine((A100, L4)), Machine((A100,) * 2, usable=False)
