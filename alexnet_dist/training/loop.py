"""The story of a training step."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.errors import Diverged
from alexnet_dist.layout.traffic import traffic_counter
from alexnet_dist.telemetry.meters import Meter, StepRecord
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord
from alexnet_dist.telemetry.summary import Totals
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.training.evaluate import Evaluation, evaluate
from alexnet_dist.training.optimizer import WEIGHTS, learning_rates
from alexnet_dist.training.setup import Setup


@dataclass
class Outputs:
    """Where a run's measurements go; `record` is None on every rank but the first."""

    record: RunRecord | None
    tracking: Tracking
    progress: RunProgress


def accumulate_gradients(setup: Setup, step: int, batches: Iterator[MicroBatch], meter: Meter) -> tuple[Tensor, int]:
    """Forward and backward of all micro-steps of a step.

    Args:
        step: counted from 0.

    Returns:
        The loss summed over this replica's samples (a scalar on the device), and their number.
    """
    accumulate, count = setup.experiment.train.accumulate, setup.order.count(step)
    total, samples = torch.zeros((), device=setup.layout.world.device), 0
    for micro in range(accumulate):
        batch = meter.wait(batches)
        with setup.strategy.micro_step(last=micro == accumulate - 1):
            logits = setup.net(batch.images, setup.masks(step, batch))
            loss_sum = functional.cross_entropy(logits, batch.labels, reduction="sum")
            # Over the count of the whole global batch, so that gradients of ranks and micro-steps just add up,
            # also where a short last batch gives them unequal shares.
            setup.strategy.backward(loss_sum / count)
        total = total + loss_sum.detach()
        samples += len(batch.rows)
    return total, samples


def train(setup: Setup, outputs: Outputs) -> tuple[Totals, Evaluation | None]:
    """Train to the end of the experiment. Collective.

    Raises:
        Diverged: a loss was NaN or infinite.
    """
    settings, optim = setup.experiment.train, setup.experiment.optim
    steps = total_steps(setup)
    meter, traffic, totals = Meter(setup.layout), traffic_counter(), Totals(setup.layout)
    batches, evaluation = setup.micro_batches(0, steps), None
    meter.start()
    for step in range(steps):
        traffic.take()
        loss_sum, samples = accumulate_gradients(setup, step, batches, meter)
        rates = learning_rates(optim, setup.order.epoch(step))
        result = setup.strategy.apply(rates, settings.clip_norm)
        sent = traffic.take()
        totals.sent(step, sent, setup.strategy.expected_traffic(setup.table, samples, settings.clip_norm is not None))
        meter.step(step + 1, loss_sum, samples, sum(sent.values()), result.norm)

        epoch_ends = (step + 1) % setup.order.steps_per_epoch == 0 or step + 1 == steps
        if (step + 1) % setup.experiment.tracking.log_every == 0 or epoch_ends:
            report(setup, outputs, totals, meter.flush())
        if epoch_ends and settings.evaluate:
            evaluation = evaluate(setup)
            outputs.progress.say(f"epoch {setup.order.epoch(step) + 1}: {evaluation}")
            outputs.tracking.log({f"eval/{k}": v for k, v in asdict(evaluation).items()}, step + 1)
            meter.start()
    return totals, evaluation


def total_steps(setup: Setup) -> int:
    """Optimiser steps of the whole run."""
    settings = setup.experiment.train
    steps = settings.epochs * setup.order.steps_per_epoch
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def report(setup: Setup, outputs: Outputs, totals: Totals, window: list[StepRecord]) -> None:
    """Write a window of steps down, and stop where one of them was no step of a sane training."""
    totals.add(window)
    for record in window:
        if outputs.record is not None:
            epoch = setup.order.epoch(record.step - 1)
            rate = learning_rates(setup.experiment.optim, epoch)[WEIGHTS]
            outputs.record.metrics({**asdict(record), "epoch": epoch, "lr": rate})
    last = window[-1]
    seconds = sum(r.seconds for r in window)
    rate = sum(r.samples for r in window) / seconds
    wait = sum(r.data_wait for r in window) / seconds
    loss = sum(r.loss * r.samples for r in window) / sum(r.samples for r in window)
    outputs.progress.update(
        last.step,
        f"loss {loss:.4f}  {rate:.1f} images/s  {seconds / len(window):.3f} s a step  "
        f"data wait {wait:.1%}  sent {last.sent_bytes / 1e6:.1f} MB",
    )
    outputs.tracking.log(
        {
            "loss": loss,
            "images_per_second": rate,
            "step_seconds": seconds / len(window),
            "data_wait_fraction": wait,
            "comm_bytes_per_step": last.sent_bytes,
            "epoch": setup.order.epoch(last.step - 1),
        },
        last.step,
    )
    for record in window:
        if not math.isfinite(record.loss):
            raise Diverged(record.step, record.loss)
