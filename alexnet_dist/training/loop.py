"""From the first step to the last: steps, windows, epochs."""

import math
from dataclasses import asdict, dataclass

from alexnet_dist.errors import Diverged
from alexnet_dist.telemetry.meters import Meter, StepRecord
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord
from alexnet_dist.telemetry.summary import Totals
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.training.evaluate import Evaluation, evaluate
from alexnet_dist.training.optimizer import WEIGHTS, learning_rates
from alexnet_dist.training.profile import StepProfile
from alexnet_dist.training.setup import Setup
from alexnet_dist.training.step import training_step


@dataclass(frozen=True)
class Outputs:
    """Where a run's measurements go; `record` is None on every rank but the first."""

    record: RunRecord | None
    tracking: Tracking
    progress: RunProgress
    profile: StepProfile


def total_steps(setup: Setup) -> int:
    """Optimiser steps of the whole run."""
    settings = setup.experiment.train
    steps = settings.epochs * setup.order.steps_per_epoch
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def train(setup: Setup, outputs: Outputs) -> tuple[Totals, Evaluation | None]:
    """Train to the end of the experiment. Collective.

    Returns:
        What the steps came to, and the last evaluation.

    Raises:
        Diverged: a loss was NaN or infinite.
    """
    steps, log_every = total_steps(setup), setup.experiment.tracking.log_every
    meter, totals = Meter(setup.layout), Totals(setup.layout)
    batches, evaluation = setup.micro_batches(0, steps), None
    meter.start()
    for step in range(steps):
        traffic = training_step(setup, step, batches, meter)
        totals.sent(traffic.counted, traffic.expected, traffic.dtypes)
        outputs.profile.step()
        done = step + 1
        epoch_ends = done % setup.order.steps_per_epoch == 0 or done == steps
        if done % log_every == 0 or epoch_ends:
            report(setup, outputs, totals, meter.flush())
        if epoch_ends and setup.experiment.train.evaluate:
            evaluation = evaluate(setup)
            outputs.progress.say(f"epoch {setup.order.epoch(step) + 1}: {evaluation}")
            outputs.tracking.log({f"eval/{name}": value for name, value in asdict(evaluation).items()}, done)
            meter.start()
    return totals, evaluation


def report(setup: Setup, outputs: Outputs, totals: Totals, window: list[StepRecord]) -> None:
    """Write a window of steps down, and stop where the loss of one is no number."""
    totals.add(window)
    if outputs.record is not None:
        for record in window:
            epoch = setup.order.epoch(record.step - 1)
            rate = learning_rates(setup.experiment.optim, epoch)[WEIGHTS]
            outputs.record.metrics({**asdict(record), "epoch": epoch, "lr": rate})
    figures = window_figures(window)
    last = window[-1]
    outputs.progress.update(
        last.step,
        "loss {loss:.4f}  {images_per_second:.1f} images/s  {step_seconds:.3f} s a step  "
        "data wait {data_wait_fraction:.1%}  ".format(**figures)
        + f"sent {last.sent_bytes / 1e6:.1f} MB",
    )
    epoch = setup.order.epoch(last.step - 1)
    outputs.tracking.log({**figures, "comm_bytes_per_step": last.sent_bytes, "epoch": epoch}, last.step)
    for record in window:
        if not math.isfinite(record.loss):
            raise Diverged(record.step, record.loss)


def window_figures(window: list[StepRecord]) -> dict[str, float]:
    """Mean loss over samples, throughput, mean step time, and the share of it that waited for data."""
    seconds = max(sum(rank) for rank in zip(*(r.rank_seconds for r in window), strict=True))
    samples = sum(r.samples for r in window)
    return {
        "loss": sum(r.loss * r.samples for r in window) / samples,
        "images_per_second": samples / seconds,
        "step_seconds": seconds / len(window),
        "data_wait_fraction": sum(r.data_wait for r in window) / seconds,
    }
