"""Measures the steps of a rank and gathers the ranks' measurements once a window."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from alexnet_dist.distributed.mesh import World
from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.clock import clock_of
from alexnet_dist.telemetry.step_metrics import Gathered, LocalStep, StepMetric
from alexnet_dist.telemetry.step_record import StepRecord

T = TypeVar("T")
_UNKNOWN = float("nan")  # until the clock is read


class Meter:
    """Measures one rank's steps; never waits for the device within a window.

    Args:
        world: the ranks.
        speakers: ranks that together speak for every sample of the global batch once.
    """

    def __init__(self, world: World, speakers: Sequence[int]) -> None:
        self._world = world
        self._speakers = speakers
        self._metrics: list[StepMetric] = list(step_metrics)
        self._clock = clock_of(world.device)
        self._pending: list[LocalStep] = []
        self._waited = 0.0

    def start(self) -> None:
        """Start, or start again after something else than a step: the time since the last step belongs to none."""
        assert not self._pending, "a window is flushed before something else than a step happens"
        self._clock = clock_of(self._world.device)
        self._clock.mark()

    def wait(self, batches: Iterator[T]) -> T:
        """The next batch; the time until it is there counts as the step's data wait."""
        before = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - before
        return batch

    def applies(self) -> None:
        """Mark that the step's gradients are complete and the optimizer's part begins."""
        self._clock.mark()

    def step(
        self,
        *,
        step: int,
        loss_sum: Tensor,
        correct: Tensor,
        samples: int,
        fingerprint: int,
        sent_bytes: int,
        lr: float,
        norm: Tensor | None,
        skipped: Tensor | None,
    ) -> None:
        """Note a step that is over; the arguments are as in `LocalStep`."""
        self._clock.mark()
        self._pending.append(
            LocalStep(
                step=step,
                loss_sum=loss_sum,
                correct=correct,
                samples=samples,
                fingerprint=fingerprint,
                seconds=_UNKNOWN,
                optimizer_seconds=_UNKNOWN,
                data_wait=self._waited,
                sent_bytes=sent_bytes,
                lr=lr,
                norm=norm,
                skipped=skipped,
            )
        )
        self._waited = 0.0

    def flush(self) -> list[StepRecord]:
        """Every step since the last flush, over all ranks. Collective; the host waits for the device here."""
        pending, self._pending = self._pending, []
        if not pending:
            return []
        lapses = self._clock.lapse()
        steps = [
            replace(step, seconds=gradients + optimizer, optimizer_seconds=optimizer)
            for step, gradients, optimizer in zip(pending, lapses[::2], lapses[1::2], strict=True)
        ]
        measured = {metric.name: [metric.measure(step) for step in steps] for metric in self._metrics}
        ranks = self._gather(torch.stack([_to_host(values) for values in measured.values()], dim=1))
        columns = [
            _combined(metric, own, ranks[..., index], ranks[..., list(measured).index("samples")], self._speakers)
            for index, (metric, own) in enumerate(zip(self._metrics, measured.values(), strict=True))
        ]
        names = list(measured)
        return [StepRecord.of(dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]

    def _gather(self, own: Tensor) -> Tensor:
        """(steps, metrics) of this rank to (ranks, steps, metrics), in one collective."""
        if self._world.control is None:
            return own.unsqueeze(0)
        ranks = [torch.empty_like(own) for _ in range(self._world.size)]
        dist.all_gather(ranks, own, group=self._world.control)
        return torch.stack(ranks)


def _to_host(values: Sequence[float | Tensor | None]) -> Tensor:
    """A metric's values in a window as fp64 (steps,) on the host; one copy where all of them are on the device."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) == len(values):
        return torch.stack(tensors).cpu().double()
    return torch.tensor([_UNKNOWN if value is None else float(value) for value in values], dtype=torch.float64)


def _combined(
    metric: StepMetric, own: Sequence[object], values: Tensor, samples: Tensor, speakers: Sequence[int]
) -> list[Any]:
    """One metric over all ranks, by step; None where this rank measured None."""
    combined = metric.combine(Gathered(values, samples, speakers)).tolist()
    return [None if mine is None else _typed(metric, value) for mine, value in zip(own, combined, strict=True)]


def _typed(metric: StepMetric, value: Any) -> Any:
    return tuple(metric.kind(v) for v in value) if isinstance(value, list) else metric.kind(value)
