"""The metrics of a step: what each rank measures, and how the ranks' values become one.

A metric is added in one place, by an entry in `registry.step_metrics`: here, or in a plugin. It is then written to
metrics.jsonl, and its mean over each window goes to the trackers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alexnet_dist.registry import step_metrics

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LocalStep:
    """What one rank knows of a step when the window of steps ends; tensors are scalars on the rank's device.

    Attributes:
        step: counted from 1.
        loss_sum: over this rank's samples.
        correct: how many of them were predicted right.
        samples: that this rank computed; several ranks may share them.
        fingerprint: of these samples (`data.order.fingerprint`).
        seconds: wall time of the step.
        optimizer_seconds: from complete gradients to new weights.
        data_wait: seconds that the loop waited for batches.
        sent_bytes: by this rank.
        lr: learning rate of weights.
        norm: of the gradient before clipping; None where it was not computed.
        skipped: 1 where the step overflowed and changed nothing, else 0; None where that cannot happen.
    """

    step: int
    loss_sum: Tensor
    correct: Tensor
    samples: int
    fingerprint: int
    seconds: float
    optimizer_seconds: float
    data_wait: float
    sent_bytes: int
    lr: float
    norm: Tensor | None
    skipped: Tensor | None


@dataclass(frozen=True)
class Gathered:
    """One metric in a window of steps, on all ranks.

    Attributes:
        values: fp64 (ranks, steps); NaN where a rank measured None.
        samples: fp64 (ranks, steps): the samples that each rank computed.
        speakers: ranks that together speak for every sample of the global batch once.
    """

    values: Tensor
    samples: Tensor
    speakers: Sequence[int]


def largest(gathered: Gathered) -> Tensor:
    """The largest value over ranks, (steps,)."""
    return gathered.values.amax(0)


def total(gathered: Gathered) -> Tensor:
    """The sum over ranks that speak for distinct samples, (steps,)."""
    return gathered.values[list(gathered.speakers)].sum(0)


def per_sample(gathered: Gathered) -> Tensor:
    """The sum over ranks that speak for distinct samples, divided by the global batch's samples, (steps,)."""
    return total(gathered) / gathered.samples[list(gathered.speakers)].sum(0)


def first(gathered: Gathered) -> Tensor:
    """The first rank's value, (steps,)."""
    return gathered.values[0]


def by_rank(gathered: Gathered) -> Tensor:
    """Every rank's value, (steps, ranks)."""
    return gathered.values.T


@dataclass(frozen=True)
class StepMetric:
    """A metric of a step.

    Attributes:
        name: its key in metrics.jsonl.
        measure: this rank's value: a number, or a scalar on the device, which is read when the window ends; None
            where there is no value, on every rank alike.
        combine: turns the values of all ranks into one value per step, or one per step and rank.
        kind: the type of the result; fp64 in between, so integers are exact below 2**53.
    """

    name: str
    measure: Callable[[LocalStep], float | Tensor | None]
    combine: Callable[[Gathered], Tensor] = largest
    kind: Callable[[float], float] = float


for _metric in (
    StepMetric("step", lambda s: s.step, first, int),
    StepMetric("loss", lambda s: s.loss_sum, per_sample),
    StepMetric("top1", lambda s: s.correct, per_sample),
    StepMetric("samples", lambda s: s.samples, total, int),
    StepMetric("sample_fingerprint", lambda s: s.fingerprint, total, int),
    StepMetric("seconds", lambda s: s.seconds, largest),
    StepMetric("rank_seconds", lambda s: s.seconds, by_rank),
    StepMetric("data_wait", lambda s: s.data_wait, largest),
    StepMetric("optimizer_seconds", lambda s: s.optimizer_seconds, largest),
    StepMetric("sent_bytes", lambda s: s.sent_bytes, largest, int),
    StepMetric("lr", lambda s: s.lr, first),
    StepMetric("norm", lambda s: s.norm, first),
    StepMetric("skipped", lambda s: 0 if s.skipped is None else s.skipped, first, bool),
):
    step_metrics.register(_metric)
