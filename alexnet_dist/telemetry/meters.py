"""Measures steps, and brings the ranks' measurements together once a window."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from alexnet_dist.distributed.mesh import Layout
from alexnet_dist.telemetry.clock import clock_of

T = TypeVar("T")


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step over all ranks.

    Attributes:
        step: counted from 1.
        loss: mean over the samples of the global batch.
        samples: of the global batch.
        sample_fingerprint: which samples they were (`data.order.fingerprint`).
        seconds: wall time, the slowest rank's, the wait for data included.
        rank_seconds: of every rank.
        data_wait: seconds in which the slowest rank's loop stood waiting for a batch.
        optimizer_seconds: from the whole gradients to the new weights, clipping included, of the slowest rank.
        sent_bytes: by the rank that sent most.
        norm: of the gradient before clipping; None where it was not taken.
        skipped: the step overflowed (fp16) and changed nothing.
    """

    step: int
    loss: float
    samples: int
    sample_fingerprint: int
    seconds: float
    rank_seconds: tuple[float, ...]
    data_wait: float
    optimizer_seconds: float
    sent_bytes: int
    norm: float | None
    skipped: bool


@dataclass(frozen=True)
class _Local:
    """What this rank knows of a step; tensors stay on the device until the window ends."""

    step: int
    loss_sum: Tensor
    samples: int
    sample_fingerprint: int
    data_wait: float
    sent_bytes: int
    norm: Tensor | None
    skipped: Tensor | None


class Meter:
    """Of one rank's steps.

    Args:
        layout: this rank's place.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._clock = clock_of(layout.world.device)
        self._pending: list[_Local] = []
        self._waited = 0.0

    def start(self) -> None:
        """Steps begin (again): what happened since the last step belongs to none."""
        assert not self._pending, "a window is flushed before something else than a step happens"
        self._clock = clock_of(self.layout.world.device)
        self._clock.mark()

    def wait(self, batches: Iterator[T]) -> T:
        """The next batch; the time until it is there is the step's data wait."""
        before = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - before
        return batch

    def applies(self) -> None:
        """The step's gradients are whole: what follows is the optimiser's."""
        self._clock.mark()

    def step(
        self,
        step: int,
        loss_sum: Tensor,
        samples: int,
        sample_fingerprint: int,
        sent_bytes: int,
        norm: Tensor | None,
        skipped: Tensor | None,
    ) -> None:
        """A step is over.

        Args:
            step: counted from 1.
            loss_sum: over the samples of this replica, on the device.
            samples, sample_fingerprint: of this replica.
            sent_bytes: by this rank.
            norm: of the gradient, on the device, where it was taken.
            skipped: whether the step overflowed, on the device, where it can.
        """
        self._clock.mark()
        self._pending.append(
            _Local(step, loss_sum, samples, sample_fingerprint, self._waited, sent_bytes, norm, skipped)
        )
        self._waited = 0.0

    def flush(self) -> list[StepRecord]:
        """Every step since the last flush, over all ranks. Collective; here the host waits for the device."""
        pending, self._pending = self._pending, []
        if not pending:
            return []
        lapses = self._clock.lapse()
        own = torch.tensor(
            [
                (p.samples, gradients + optimizer, p.data_wait, p.sent_bytes, optimizer, p.sample_fingerprint)
                for p, gradients, optimizer in zip(pending, lapses[::2], lapses[1::2], strict=True)
            ],
            dtype=torch.float64,
        )
        losses = torch.stack([p.loss_sum for p in pending]).double().cpu()
        ranks = self._by_rank(torch.cat([own, losses.unsqueeze(1)], dim=1))
        return [self._record(p, ranks[:, i]) for i, p in enumerate(pending)]

    def _by_rank(self, own: Tensor) -> Tensor:
        world = self.layout.world
        if world.control is None:
            return own.unsqueeze(0)
        ranks = [torch.empty_like(own) for _ in range(world.size)]
        dist.all_gather(ranks, own, group=world.control)
        return torch.stack(ranks)

    def _record(self, local: _Local, ranks: Tensor) -> StepRecord:
        # The members of a replica worked on the same samples: one of them speaks for all.
        replicas = ranks[:: self.layout.split_size]
        samples = int(replicas[:, 0].sum())
        return StepRecord(
            step=local.step,
            loss=float(replicas[:, 6].sum()) / samples,
            samples=samples,
            sample_fingerprint=int(replicas[:, 5].sum()),
            seconds=float(ranks[:, 1].max()),
            rank_seconds=tuple(ranks[:, 1].tolist()),
            data_wait=float(ranks[:, 2].max()),
            optimizer_seconds=float(ranks[:, 4].max()),
            sent_bytes=int(ranks[:, 3].max()),
            norm=None if local.norm is None else float(local.norm),
            skipped=local.skipped is not None and bool(local.skipped),
        )
