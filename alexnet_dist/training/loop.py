"""From the first step to the last: steps, windows, epochs, checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from alexnet_dist.distributed.init import limit_waiting
from alexnet_dist.errors import Diverged, RunFailed, Stopped
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.telemetry.profile import StepProfile
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord
from alexnet_dist.telemetry.step_record import StepRecord, window_figures
from alexnet_dist.telemetry.summary import RunMetrics
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.telemetry.versions import versions
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.evaluate import evaluate
from alexnet_dist.training.optimizer import WEIGHTS, learning_rates
from alexnet_dist.training.step import training_step
from alexnet_dist.training.stopping import StopSignal
from alexnet_dist.training.wiring import Components

FIRST_STEPS_TIMEOUT = 10  # times the first step: a step may take minutes by itself


@dataclass(frozen=True)
class Outputs:
    """Where a run's measurements go; `record` is None on every rank but the first."""

    record: RunRecord | None
    tracking: Tracking
    progress: RunProgress
    profile: StepProfile


@dataclass(frozen=True)
class Safety:
    """What keeps a run from being lost.

    Attributes:
        checkpoints: writes them.
        vote: whether to stop.
        at: told what this rank is doing.
    """

    checkpoints: CheckpointWriter
    vote: StopSignal
    at: Callable[[str], None]


def total_steps(components: Components) -> int:
    """Optimiser steps of the whole run."""
    settings = components.experiment.train
    steps = settings.epochs * components.order.steps_per_epoch
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def train(components: Components, start: int, totals: RunMetrics, outputs: Outputs, safety: Safety) -> None:
    """Train from step `start` to the end of the experiment. Collective.

    Raises:
        Diverged: a loss was NaN or infinite.
        Stopped: a signal asked for it; a checkpoint is written.
    """
    steps, log_every = total_steps(components), components.experiment.tracking.log_every
    meter = Meter(components.layout.world, components.layout.samples.speakers)
    batches = components.micro_batches(start, steps)
    meter.start()
    began = time.perf_counter()
    for step in range(start, steps):
        safety.at(f"step {step + 1}")
        look = partial(_look, components, totals) if step == steps - 1 else None
        traffic = training_step(components, step, batches, meter, look)
        totals.sent(traffic.counted, traffic.expected, traffic.dtypes)
        outputs.profile.step()
        if step == start:
            _limit_waiting(components, time.perf_counter() - began)
        done = step + 1
        stops, saves = safety.vote.cast(), is_saved(components, done)
        if done % log_every == 0 or epoch_ends(components, done) or stops or saves:
            report(components, outputs, totals, meter.flush())
        if stops or saves:
            save(components, outputs, safety, done)
        if stops:
            raise _stopped(safety, done)
        if epoch_ends(components, done):
            evaluate_epoch(components, totals, outputs, safety, done)
            meter.start()
    safety.vote.close()


def _look(components: Components, totals: RunMetrics) -> None:
    """Once is enough: what a rank holds is the same in every step."""
    totals.memory = components.strategy.held_memory()


def epoch_ends(components: Components, done: int) -> bool:
    return done % components.order.steps_per_epoch == 0 or done == total_steps(components)


def is_saved(components: Components, done: int) -> bool:
    """Whether there is a checkpoint after so many steps."""
    every = components.experiment.checkpoint.every_steps
    return every > 0 and (done % every == 0 or done == total_steps(components))


def save(components: Components, outputs: Outputs, safety: Safety, done: int) -> None:
    """Take a checkpoint after `done` steps. Collective."""
    safety.at(f"the checkpoint of step {done}")
    if outputs.record is not None:
        outputs.record.flush()
    layout = components.layout
    facts: dict[str, Any] = {
        "experiment": components.experiment.model_dump(),
        "world_size": layout.world.size,
        "mesh": {"dp": layout.dp_size, "split": layout.split_size},
        "versions": versions() if layout.world.rank == 0 else {},
    }
    safety.checkpoints.save(components.strategy.state(), done, facts)


def _stopped(safety: Safety, done: int) -> Exception:
    problem = safety.checkpoints.wait()
    if problem is not None:
        return RunFailed(f"asked to stop in step {done}, but its checkpoint could not be written: {problem}")
    return Stopped(f"asked to stop after step {done}, which is saved: the same command with --run.resume auto goes on")


def evaluate_epoch(components: Components, totals: RunMetrics, outputs: Outputs, safety: Safety, done: int) -> None:
    """Evaluate after `done` steps, where the experiment wants that. Collective.

    Raises:
        Stopped: see `train`.
    """
    if not components.experiment.train.evaluate:
        return
    safety.at(f"the evaluation after step {done}")
    evaluation = evaluate(components, safety.vote.cast)
    if evaluation is None:
        if not is_saved(components, done):
            save(components, outputs, safety, done)
        raise _stopped(safety, done)
    totals.evaluation = evaluation
    outputs.progress.say(f"epoch {components.order.epoch(done - 1) + 1}: {evaluation}")
    outputs.tracking.log({f"eval/{name}": value for name, value in asdict(evaluation).items()}, done)
    if outputs.record is not None:
        outputs.record.evaluation(done, asdict(evaluation))


def _limit_waiting(components: Components, first_step_seconds: float) -> None:
    seconds = max(components.experiment.train.timeout, FIRST_STEPS_TIMEOUT * first_step_seconds)
    limit_waiting(components.layout.world, components.layout, timedelta(seconds=seconds))


def report(components: Components, outputs: Outputs, totals: RunMetrics, window: list[StepRecord]) -> None:
    """Write a window of steps down, and stop where the loss of one is no number."""
    totals.add(window)
    if outputs.record is not None:
        for record in window:
            epoch = components.order.epoch(record.step - 1)
            rate = learning_rates(components.experiment.optim, epoch)[WEIGHTS]
            outputs.record.metrics({**record.line(), "epoch": epoch, "lr": rate})
    figures = window_figures(window)
    last = window[-1]
    outputs.progress.update(
        last.step,
        "loss {loss:.4f}  {images_per_second:.1f} images/s  {step_seconds:.3f} s a step  "
        "data wait {data_wait_fraction:.1%}  ".format(**figures)
        + f"sent {last.sent_bytes / 1e6:.1f} MB",
    )
    epoch = components.order.epoch(last.step - 1)
    outputs.tracking.log({**figures, "comm_bytes_per_step": last.sent_bytes, "epoch": epoch}, last.step)
    for record in window:
        if not math.isfinite(record.loss):
            raise Diverged(record.step, record.loss)
