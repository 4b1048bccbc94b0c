"""What a short training is judged by, and how far two of them differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrainingTrace:
    """What a few steps of training produced.

    Attributes:
        losses: of every step.
        gradients: of the first step, whole, under one-device names.
        weights: after the last step, likewise.
        traffic: of the last step on rank 0: by collective, bytes "counted" and "expected"; by dtype, "dtypes".
    """

    losses: list[float]
    gradients: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    traffic: Mapping[str, Mapping[str, int]]

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @classmethod
    def read(cls, path: Path) -> "TrainingTrace":
        return cls(**torch.load(path, weights_only=True, mmap=True))


@dataclass(frozen=True)
class Differences:
    """How far one trace is from another.

    Attributes:
        by_kind: ||a - b|| / ||b||, by kind ("loss", "gradient", "weight"), then by step or tensor name.
        traffic: as in the first trace.
    """

    by_kind: Mapping[str, Mapping[str, float]]
    traffic: Mapping[str, Mapping[str, int]]


def differences(trace: TrainingTrace, reference: TrainingTrace) -> Differences:
    """Compare a trace with a reference, tensor by tensor.

    Raises:
        RuntimeError: a gradient of the reference is zero, so the comparison would be empty.
    """
    for name, gradient in reference.gradients.items():
        if not bool(gradient.any()):
            raise RuntimeError(f"the first step's gradient of {name} is zero")
    losses = enumerate(zip(trace.losses, reference.losses, strict=True), start=1)
    by_kind = {
        "loss": {f"step {step}": abs(a - b) / abs(b) for step, (a, b) in losses},
        "gradient": {name: relative_difference(trace.gradients[name], b) for name, b in reference.gradients.items()},
        "weight": {name: relative_difference(trace.weights[name], b) for name, b in reference.weights.items()},
    }
    return Differences(by_kind, trace.traffic)


def relative_difference(ours: Tensor, reference: Tensor) -> float:
    """||ours - reference|| / ||reference||, in fp64; absolute where the reference is zero."""
    norm = float(reference.double().norm())
    return float((ours.double() - reference.double()).norm()) / (norm or 1.0)
