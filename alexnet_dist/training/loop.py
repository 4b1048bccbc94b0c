"""From the first step to the last: steps, windows, checkpoints, epochs."""

import math
import shlex
import time
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from alexnet_dist.costs.units import loss_text
from alexnet_dist.distributed.agreement import combined, on_first_rank
from alexnet_dist.distributed.bring_up import limit_waiting
from alexnet_dist.errors import Diverged, RunFailed, Stopped
from alexnet_dist.rng import GENERATOR
from alexnet_dist.telemetry.profile import traced_steps
from alexnet_dist.telemetry.versions import versions
from alexnet_dist.training.evaluate import Evaluation, evaluate
from alexnet_dist.training.filter_pictures import is_pictured, picture_filters
from alexnet_dist.training.rounds import Decision, RoundResult
from alexnet_dist.training.run_context import RunContext
from alexnet_dist.training.run_directory import named_by_user
from alexnet_dist.training.step import training_step
from alexnet_dist.training.wiring import Components

FIRST_STEPS_TIMEOUT = 10  # times the first step's duration, which may be minutes


def run_steps(components: Components, start: int, run: RunContext) -> None:
    """Train from step `start` to the end of the experiment. Collective.

    Raises:
        Diverged: a loss was NaN or infinite, in training or in an evaluation.
        Stopped: a signal asked for it; a checkpoint is written.
    """
    total, meter = components.total_steps, run.meter
    batches = components.micro_batches(start, total)
    meter.start()
    began = time.perf_counter()
    traced = components.experiment.train.profile
    with traced_steps(traced, components.world, run.folder, run.progress.say) as step_is_over:
        for step in range(start, total):
            run.status.at(f"step {step + 1}")
            inspect = partial(_measure_memory, components, run) if step == total - 1 else None
            with run.limit:
                traffic = training_step(components, step, batches, meter, inspect)
            run.metrics.sent(traffic.counted, traffic.expected, traffic.dtypes)
            step_is_over()
            if step == start:
                _limit_waiting(components, time.perf_counter() - began)
            _after_step(components, run, step + 1)


def _after_step(components: Components, run: RunContext, done: int) -> None:
    """Do what is due after `done` steps: report, save, stop, evaluate."""
    with run.limit:
        result = run.rounds.step()
    decision = _report_round(run, result)
    saves, stops, ends = decision.saves or _is_saved(components, done), decision.stops, epoch_ends(components, done)
    if saves or stops or ends:
        stops = _flush(run).stops or stops
    if saves or stops:
        save(components, run, done)
    if stops:
        raise _stopped(components, run, done, stops)
    if ends:
        _end_epoch(components, run, done)
        run.meter.start()


def _report_round(run: RunContext, result: RoundResult) -> Decision:
    """Report the steps of a round.

    Raises:
        Diverged: the loss of one is NaN or infinite.
    """
    if run.reporter is not None:
        run.reporter.add(result.records)
    if result.decision.diverged is not None:
        step, loss = result.decision.diverged
        raise Diverged(f"the loss of step {step}", loss)
    return result.decision


def _flush(run: RunContext) -> Decision:
    """Report all steps, before anything other than a step is done. Collective.

    Raises:
        Diverged: see `_report_round`.
    """
    decision = _report_round(run, run.rounds.flush())
    if run.reporter is not None:
        run.reporter.end_window()
    return decision


def _measure_memory(components: Components, run: RunContext) -> None:
    """Measure once what this rank holds: it does not change between steps."""
    run.metrics.memory = components.engine.held_memory()


def epoch_ends(components: Components, done: int) -> bool:
    """Whether an epoch, or the run, ends after `done` steps."""
    return done % components.order.steps_per_epoch == 0 or done == components.total_steps


def _is_saved(components: Components, done: int) -> bool:
    """Whether `every_steps`, or the end of the run, makes a checkpoint due after `done` steps."""
    settings = components.experiment.checkpoint
    due = settings.every_steps > 0 and done % settings.every_steps == 0
    return due or (settings.periodic and done == components.total_steps)


def save(components: Components, run: RunContext, done: int) -> None:
    """Save a checkpoint after `done` steps. Collective."""
    run.status.at(f"the checkpoint of step {done}")
    if run.record is not None:
        run.record.flush()
    world = components.world
    facts: dict[str, Any] = {
        "experiment": components.experiment.model_dump(),
        "world_size": world.size,
        "mesh": dict(components.strategy.mesh(world.size)),
        "versions": versions() if world.rank == 0 else {},
        "generator": GENERATOR,
    }
    run.checkpoints.save(components.state(), done, facts)
    run.rounds.saved()


def what_is_missing(components: Components, run: RunContext) -> str | None:
    """What should be on the disk and is not, and why. Collective."""
    checkpoint = run.checkpoints.missing()
    record = run.record
    problem = on_first_rank(components.world, lambda: (record.problem() if record else None) or run.tracking.problem)
    return checkpoint or problem


def _stopped(components: Components, run: RunContext, done: int, why: str) -> Exception:
    missing = what_is_missing(components, run)
    if missing is not None:
        return RunFailed(f"{why} after step {done}, but not all of it is on the disk: {missing}")
    named, _ = named_by_user(components.experiment)
    folder = "" if named else f"--run.dir {shlex.quote(str(run.folder))} "
    return Stopped(
        f"{why} after step {done}, which is saved: continue with the same command, {folder}--run.resume auto"
    )


def _end_epoch(components: Components, run: RunContext, done: int) -> None:
    """Report the epoch that ends after `done` steps. Collective.

    Raises:
        Diverged, Stopped: see `run_steps`.
    """
    if is_pictured(components, done):
        picture_filters(components, run, done)
    if components.experiment.train.evaluate:
        evaluate_epoch(components, run, done)
    else:
        run.progress.say(_epoch_line(components, run, done))


def evaluate_epoch(components: Components, run: RunContext, done: int) -> None:
    """Evaluate after `done` steps. Collective.

    Raises:
        Diverged, Stopped: see `run_steps`.
    """
    run.status.at(f"the evaluation after step {done}")
    evaluation = evaluate(components, lambda: bool(_report_round(run, run.rounds.step()).stops))
    stops = _flush(run).stops
    if evaluation is not None:
        _report_evaluation(components, run, done, evaluation)
        if not math.isfinite(evaluation.loss):
            raise Diverged(f"the test loss after step {done}", evaluation.loss)
    if evaluation is None or (stops and done < components.total_steps):
        if not _is_saved(components, done):
            save(components, run, done)
        raise _stopped(components, run, done, stops)


def _report_evaluation(components: Components, run: RunContext, done: int, evaluation: Evaluation) -> None:
    measured = asdict(evaluation)
    run.metrics.evaluation = measured
    run.progress.say(f"{_epoch_line(components, run, done)}; test {evaluation}")
    run.tracking.log({f"eval/{name}": value for name, value in measured.items()}, done)
    if run.record is not None:
        run.record.evaluation(done, measured)


def _epoch_line(components: Components, run: RunContext, done: int) -> str:
    epoch = run.metrics.epoch
    number = f"epoch {components.order.epoch(done - 1) + 1}/{components.experiment.train.epochs}"
    return f"{number}: training loss {loss_text(epoch.loss)}, accuracy {epoch.top1:.2%}"


def _limit_waiting(components: Components, first_step_seconds: float) -> None:
    """Set the same limit on every rank, so that all that wait for one give up at the same time. Collective."""
    world = components.world
    seconds = FIRST_STEPS_TIMEOUT * combined(world, first_step_seconds, max)
    limit = timedelta(seconds=max(components.experiment.train.timeout, seconds))
    limit_waiting(world, components.engine.groups(), limit)
