"""Finds a rank that keeps all others waiting. Imports nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from alexnet_dist.telemetry.step_record import StepRecord

FACTOR = 1.25  # of the median rank's own seconds
# Over fewer steps or less time, whatever else a machine does looks like a slow rank.
LEAST_STEPS, LEAST_SECONDS = 10, 3.0


@dataclass(frozen=True)
class Straggler:
    """A rank that is much slower than the median one.

    Attributes:
        rank, host: which rank, and where it runs.
        own_seconds: mean of its own seconds (see `LocalStep`) in the steps in which it was the slowest.
        median_seconds: mean of the median rank's in these steps.
    """

    rank: int
    host: str
    own_seconds: float
    median_seconds: float

    def __str__(self) -> str:
        return (
            f"rank {self.rank} on {self.host} computes {self.own_seconds / self.median_seconds:.1f} times as long as "
            f"the median rank ({self.own_seconds * 1e3:.0f} ms a step, {self.median_seconds * 1e3:.0f} ms; data wait "
            "included)"
        )


@dataclass
class _Slow:
    """The steps since the last look in which one rank was the slowest, and much slower than the median."""

    steps: int = 0
    own_seconds: float = 0.0
    median_seconds: float = 0.0


@dataclass
class Stragglers:
    """Looks, every so many steps, whether one rank was much slower than the median in most of them.

    Attributes:
        hosts: by rank.
    """

    hosts: Sequence[str]
    _steps: int = 0
    _seconds: float = 0.0
    _slow: dict[int, _Slow] = field(default_factory=dict)
    _reported: set[int] = field(default_factory=set)

    def add(self, steps: Sequence[StepRecord]) -> list[Straggler]:
        """Add steps, in order.

        Returns:
            The rank that is found to be one, unless it was returned before.
        """
        for step in steps:
            self._add(step)
        if self._steps < LEAST_STEPS or self._seconds < LEAST_SECONDS:
            return []
        found = [
            Straggler(rank, self.hosts[rank], slow.own_seconds / slow.steps, slow.median_seconds / slow.steps)
            for rank, slow in self._slow.items()
            if slow.steps > self._steps / 2 and rank not in self._reported
        ]
        self._reported |= {straggler.rank for straggler in found}
        self._steps, self._seconds, self._slow = 0, 0.0, {}
        return found

    def _add(self, step: StepRecord) -> None:
        self._steps += 1
        self._seconds += step.seconds
        if step.own_slowest > FACTOR * step.own_median:
            slow = self._slow.setdefault(step.slowest_rank, _Slow())
            slow.steps += 1
            slow.own_seconds += step.own_slowest
            slow.median_seconds += step.own_median
