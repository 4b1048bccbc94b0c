"""The metrics of a step: what each rank measures, and how the ranks' values become one.

A metric is added in one place, by an entry in `registry.step_metrics`: here, or in a plugin. It is then written to
metrics.jsonl, and its mean over each window goes to the trackers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexnet_dist.registry import step_metrics

Values = NDArray[np.float64]  # (steps,)


@dataclass(frozen=True)
class LocalStep:
    """What one rank knows about a finished step.

    Attributes:
        step: counted from 1.
        loss_sum: over this rank's samples.
        correct: how many of them were predicted right.
        samples: that this rank computed; several ranks may share them.
        fingerprint: of these samples (`data.order.fingerprint`).
        seconds: wall time of the step.
        own_seconds: the part of it in which this rank did not wait for others: computing, and the wait for data.
        optimizer_seconds: from complete gradients to new weights.
        data_wait: seconds that the loop waited for batches.
        sent_bytes: by this rank.
        lr: learning rate of weights.
        norm: of the gradient before clipping; None where it was not computed.
        skipped: 1 where the step overflowed and changed nothing, else 0; None where that cannot happen.
    """

    step: int
    loss_sum: float
    correct: float
    samples: int
    fingerprint: int
    seconds: float
    own_seconds: float
    optimizer_seconds: float
    data_wait: float
    sent_bytes: int
    lr: float
    norm: float | None
    skipped: float | None


@dataclass(frozen=True)
class RankRole:
    """What a rank reports for.

    Attributes:
        first: this is the first rank.
        reports: this is one of the ranks that together report every sample of the global batch once.
    """

    first: bool
    reports: bool


def _as_it_is(values: Values, _: object) -> Values:
    return values


@dataclass(frozen=True)
class Reduction:
    """How the ranks' values of a metric become one, in a message whose size does not grow with the ranks.

    Attributes:
        adds: the ranks' contributions are added up; otherwise the largest counts.
        put: what a rank contributes, from its values and its role.
        read: the result, from the combined contributions and the steps' numbers of samples.
        sampled: the result is instead the median over the ranks; of many, over a sample that changes.
    """

    adds: bool = False
    put: Callable[[Values, RankRole], Values] = _as_it_is
    read: Callable[[Values, Values], Values] = _as_it_is
    sampled: bool = False


def _of_reporting_ranks(values: Values, role: RankRole) -> Values:
    return values if role.reports else np.zeros_like(values)


LARGEST = Reduction()
SMALLEST = Reduction(put=lambda values, _: -values, read=lambda values, _: -values)
MEDIAN = Reduction(sampled=True)
# The sum over the samples of the global batch; and the mean.
TOTAL = Reduction(adds=True, put=_of_reporting_ranks)
PER_SAMPLE = Reduction(adds=True, put=_of_reporting_ranks, read=lambda values, samples: values / samples)
OF_FIRST_RANK = Reduction(adds=True, put=lambda values, rank: values if rank.first else np.zeros_like(values))
# Durations that add up, over the steps of a message, to the largest sum of any one rank. The largest of each step would
# add up to more where the ranks take turns at being slow.
SLOWEST_IN_ALL = Reduction(put=lambda values, _: values.cumsum(), read=lambda values, _: np.diff(values, prepend=0.0))


@dataclass(frozen=True)
class StepMetric:
    """A metric of a step.

    Attributes:
        name: its key in metrics.jsonl.
        measure: this rank's value; None where there is none, on every rank alike. Called for several steps at once, in
            a thread of its own.
        reduction: turns the values of all ranks into one value per step.
        kind: the type of the result; fp64 in between, so integers are exact below 2**53.
    """

    name: str
    measure: Callable[[LocalStep], float | None]
    reduction: Reduction = LARGEST
    kind: Callable[[float], float] = float


for _metric in (
    StepMetric("step", lambda s: s.step, OF_FIRST_RANK, int),
    StepMetric("loss", lambda s: s.loss_sum, PER_SAMPLE),
    StepMetric("top1", lambda s: s.correct, PER_SAMPLE),
    StepMetric("samples", lambda s: s.samples, TOTAL, int),
    StepMetric("sample_fingerprint", lambda s: s.fingerprint, TOTAL, int),
    StepMetric("seconds", lambda s: s.seconds, SLOWEST_IN_ALL),
    StepMetric("own_slowest", lambda s: s.own_seconds),
    StepMetric("own_median", lambda s: s.own_seconds, MEDIAN),
    StepMetric("own_fastest", lambda s: s.own_seconds, SMALLEST),
    StepMetric("data_wait", lambda s: s.data_wait),
    StepMetric("optimizer_seconds", lambda s: s.optimizer_seconds),
    StepMetric("sent_bytes", lambda s: s.sent_bytes, kind=int),
    StepMetric("lr", lambda s: s.lr, OF_FIRST_RANK),
    StepMetric("norm", lambda s: s.norm, OF_FIRST_RANK),
    StepMetric("skipped", lambda s: s.skipped or 0, OF_FIRST_RANK, bool),
):
    step_metrics.register(_metric)
