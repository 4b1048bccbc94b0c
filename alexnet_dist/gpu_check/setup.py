"""What every line of the check gets, and how it reports a problem."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from alexnet_dist.config.precisions import multiplies_bf16

Figures = Iterator[tuple[str, object]]  # as they are found, each with its name


class NotPossible(Exception):
    """This machine cannot do what a line tries, which is no failure."""


class Wrong(Exception):
    """A line of the check did not find what it expects."""


@dataclass(frozen=True)
class Setup:
    """Where and how thoroughly the check runs.

    Attributes:
        device: the one that is checked.
        small: a short form, for tests on a CPU.
    """

    device: torch.device
    small: bool = False

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def synchronize(self) -> None:
        """Wait until the device has done its work."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def settle(self) -> None:
        """Wait for the device, and free its memory for other processes."""
        self.synchronize()
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()

    @property
    def half(self) -> str:
        """The 16-bit precision of the device's hardware: GPUs before Ampere emulate bf16, a hundred times slower."""
        return "bf16" if not self.on_gpu or multiplies_bf16(self.device) else "fp16"

    @property
    def net(self) -> list[str]:
        """Flags of the net that is trained, on synthetic images."""
        name, samples = ("alexnet_small", "256") if self.small else ("alexnet_2012", "4096")
        rest = ["--data.samples", samples, "--optim.name", "sgd", "--optim.lr", "0.01", "--tracking.with", "[]"]
        return ["--net.name", name, "--data.name", "synthetic", *rest]


def require(holds: bool, what: str) -> None:
    """Check what a line of the report claims.

    Raises:
        Wrong: what was required does not hold.
    """
    if not holds:
        raise Wrong(what)
