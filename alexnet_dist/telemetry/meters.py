"""Measures the steps of a rank without waiting for the device."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.tree import Tree
from alexnet_dist.distributed.waits import watch_waits
from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.clock import Interval, clock_of
from alexnet_dist.telemetry.figures import FigureReducer, StepFigures
from alexnet_dist.telemetry.step_metrics import LocalStep, RankRole
from alexnet_dist.telemetry.step_record import StepRecord

T = TypeVar("T")


@dataclass(frozen=True)
class NotedStep:
    """What the host knows of a step that is over: see `LocalStep`; tensors are scalars on the device."""

    step: int
    loss_sum: Tensor
    correct: Tensor
    samples: int
    fingerprint: int
    sent_bytes: int
    lr: float
    norm: Tensor | None
    skipped: Tensor | None


class Meter:
    """Measures one rank's steps; never waits for the device.

    Args:
        world: the ranks.
        reporting_ranks: ranks that together report every sample of the global batch once.

    Attributes:
        reducer: combines what the ranks measured, and makes records of it.
        waits_for_data: whether the loop waits for a batch at this moment.
    """

    def __init__(self, world: World, reporting_ranks: Sequence[int]) -> None:
        self._world = world
        role = RankRole(world.rank == 0, world.rank in reporting_ranks)
        self.reducer = FigureReducer(list(step_metrics), world.rank, world.size, role)
        self._clock = clock_of(world.device)
        self._noted: list[tuple[NotedStep, float]] = []  # with their data waits
        self._waited = 0.0
        self.waits_for_data = False

    def start(self) -> None:
        """Start, or start again after anything other than a step: the time since the last step is not counted."""
        assert not self._noted, "steps are read before anything else is done"
        self._clock = clock_of(self._world.device)
        watch_waits(self._clock.waiting)
        self._clock.mark()

    def wait(self, batches: Iterator[T]) -> T:
        """The next batch; the time until it is there counts as the step's data wait."""
        before, self.waits_for_data = time.perf_counter(), True
        try:
            batch = next(batches)
        finally:
            self.waits_for_data = False
        self._waited += time.perf_counter() - before
        return batch

    def gradients_done(self) -> None:
        """Mark that the step's gradients are complete and the optimizer's part begins."""
        self._clock.mark()

    def step(self, step: NotedStep) -> None:
        """Note a step that is over."""
        self._clock.mark()
        self._noted.append((step, self._waited))
        self._waited = 0.0

    def read(self) -> Callable[[], StepFigures]:
        """This rank's figures of every step since the last call.

        Returns:
            A function that waits until the device has done these steps; any thread may call it.
        """
        noted, self._noted = self._noted, []
        losses, correct, norms, skipped = (
            _copied([getattr(step, name) for step, _ in noted]) for name in ("loss_sum", "correct", "norm", "skipped")
        )
        # After the copies, which it waits for, too.
        intervals = self._clock.intervals() if noted else list[Interval]

        def figures() -> StepFigures:
            times = intervals()
            read = zip(noted, times[::2], times[1::2], losses(), correct(), norms(), skipped(), strict=True)
            return self.reducer.own([_local_step(*values) for values in read])

        return figures

    def flush(self) -> list[StepRecord]:
        """Every step since the last call, over all ranks, on the first rank. Collective; waits for the device."""
        combined = Tree(self._world.control).reduce(self.read()(), self.reducer.combine)
        return self.reducer.records(combined) if self._world.rank == 0 else []


def _local_step(
    measured: tuple[NotedStep, float], gradients: Interval, optimizer: Interval, loss: float, correct: float,
    norm: float | None, skipped: float | None,
) -> LocalStep:  # fmt: skip
    noted, data_wait = measured
    seconds = gradients.seconds + optimizer.seconds
    return LocalStep(
        step=noted.step,
        loss_sum=loss,
        correct=correct,
        samples=noted.samples,
        fingerprint=noted.fingerprint,
        seconds=seconds,
        own_seconds=seconds - gradients.waited - optimizer.waited,
        optimizer_seconds=optimizer.seconds,
        data_wait=data_wait,
        sent_bytes=noted.sent_bytes,
        lr=noted.lr,
        norm=norm,
        skipped=skipped,
    )


def _copied(scalars: Sequence[Tensor | None]) -> Callable[[], list[float | None]]:
    """Begin to copy scalars from the device; the function returned may be called once the device has copied them."""
    there = [scalar for scalar in scalars if scalar is not None]
    if not there:
        return lambda: [None] * len(scalars)
    values = torch.stack(there).double()
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True) if values.is_cuda else values
    if host is not values:
        host.copy_(values, non_blocking=True)

    def numbers() -> list[float | None]:
        found = iter(host.tolist())
        return [None if scalar is None else next(found) for scalar in scalars]

    return numbers
