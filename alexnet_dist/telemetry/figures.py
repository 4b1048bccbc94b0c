"""What ranks measured in some steps, in messages that are combined pair by pair and do not grow with the ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet_dist.telemetry.step_metrics import LocalStep, RankRole, StepMetric
from alexnet_dist.telemetry.step_record import StepRecord

SAMPLE = 32  # ranks in the sample for medians, beside the first, which is always in it

Matrix = NDArray[np.float64]  # (steps, metrics)


@dataclass(frozen=True)
class StepFigures:
    """The metrics of some steps on one rank, or of several ranks together.

    Attributes:
        values: of the metrics that are added up or whose largest counts; of the others, nothing.
        absent: which of the metrics have no value in which of the steps, on all ranks alike.
        sampled: the metrics whose median is taken, for each rank in the sample.
        slowest: the largest sum of a rank's own seconds (see `LocalStep`), and that rank; None without steps.
    """

    values: Matrix
    absent: NDArray[np.bool_]
    sampled: Mapping[int, Matrix]
    slowest: tuple[float, int] | None


class FigureReducer:
    """Reduces figures over ranks: makes those of one rank, combines two ranks', and makes records of steps of all.

    Args:
        metrics: the registered ones, in order.
        rank, size: this rank, and how many there are.
        role: of this rank.
    """

    def __init__(self, metrics: Sequence[StepMetric], rank: int, size: int, role: RankRole) -> None:
        self._metrics, self._rank, self._role, self._size = metrics, rank, role, size
        self._adds = np.array([metric.reduction.adds for metric in metrics])
        self._is_sampled = np.array([metric.reduction.sampled for metric in metrics])
        self._stride = -(-size // SAMPLE)
        self._turn = 0

    def own(self, steps: Sequence[LocalStep]) -> StepFigures:
        """This rank's. Called once for each message, on all ranks alike."""
        rows = np.array([[metric.measure(step) for metric in self._metrics] for step in steps], dtype=object)
        rows = rows.reshape(len(steps), len(self._metrics))
        measured = rows.astype(np.float64)  # None becomes NaN
        columns = zip(self._metrics, measured.T, strict=True)
        put = [metric.reduction.put(values, self._role) for metric, values in columns]
        in_sample = self._rank == 0 or self._rank % self._stride == self._turn % self._stride
        self._turn += 1
        return StepFigures(
            np.stack(put, axis=1),
            rows == None,  # noqa: E711 - element by element
            {self._rank: measured[:, self._is_sampled]} if in_sample else {},
            (sum(step.own_seconds for step in steps), self._rank) if steps else None,
        )

    def combine(self, a: StepFigures, b: StepFigures) -> StepFigures:
        """The figures of two sets of ranks together."""
        return StepFigures(
            np.where(self._adds, a.values + b.values, np.maximum(a.values, b.values)),
            a.absent,
            {**a.sampled, **b.sampled},
            None if a.slowest is None or b.slowest is None else max(a.slowest, b.slowest),
        )

    def records(self, figures: StepFigures) -> list[StepRecord]:
        """The steps of all ranks together.

        Args:
            figures: combined over all ranks.
        """
        if figures.slowest is None:
            return []
        medians = iter(_low_median(list(figures.sampled.values())).T)
        samples = figures.values[:, [metric.name for metric in self._metrics].index("samples")]
        columns: dict[str, list[Any]] = {}
        for metric, values, absent in zip(self._metrics, figures.values.T, figures.absent.T, strict=True):
            read = next(medians) if metric.reduction.sampled else metric.reduction.read(values, samples)
            pairs = zip(read.tolist(), absent.tolist(), strict=True)
            columns[metric.name] = [None if none else metric.kind(value) for value, none in pairs]
        ranks = {"slowest_rank": figures.slowest[1], "ranks": self._size}
        return [
            StepRecord.of({**dict(zip(columns, values, strict=True)), **ranks})
            for values in zip(*columns.values(), strict=True)
        ]


def _low_median(ranks: Sequence[Matrix]) -> Matrix:
    """The median over ranks; of an even number, the lower of the two in the middle."""
    return np.sort(np.stack(ranks), axis=0)[(len(ranks) - 1) // 2]
