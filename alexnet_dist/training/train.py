"""Trains one experiment, from its settings to its record."""

import os
from contextlib import ExitStack
from pathlib import Path

from alexnet_dist import registry
from alexnet_dist.config.resolve import warnings
from alexnet_dist.config.schema import Experiment
from alexnet_dist.distributed.agreement import all_or_none, gather_objects, on_first_rank
from alexnet_dist.distributed.traffic import traffic_counter
from alexnet_dist.kernels.build import kernel_warnings
from alexnet_dist.launcher.environment import replica_warnings
from alexnet_dist.launcher.exit_status import ExitStatus
from alexnet_dist.nets.table import Norm
from alexnet_dist.telemetry.hardware import gather_hardware
from alexnet_dist.telemetry.profile import StepProfile
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord, read_evaluation
from alexnet_dist.telemetry.run_files import SUMMARY
from alexnet_dist.telemetry.summary import ModelMemory, RunMetrics, summarise
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.training.checkpoints.files import FOLDER
from alexnet_dist.training.checkpoints.reader import read_into
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.evaluate import Evaluation
from alexnet_dist.training.loop import epoch_ends, evaluate_epoch, run_steps
from alexnet_dist.training.resuming import ResumePoint, find_resume_point, open_run_directory
from alexnet_dist.training.run_context import RunContext
from alexnet_dist.training.stopping import StopSignal
from alexnet_dist.training.wiring import Components, build, init_ranks


def train(given: Experiment, status: ExitStatus) -> None:
    """Train an experiment, in every rank that the launcher started.

    Args:
        given: as the user wrote it, unresolved.
        status: learns the run's folder as soon as it is this run's, and what this rank is doing.

    Raises:
        UsageError, Diverged, Stopped: see there.
    """
    experiment, accelerator, world = init_ranks(given)
    status.last_collective = lambda: traffic_counter().last
    stop_signal = StopSignal(world)
    start = on_first_rank(world, lambda: find_resume_point(experiment, print))
    components = build(experiment, accelerator, world, resumes=start.checkpoint is not None)
    status.folder = on_first_rank(world, lambda: open_run_directory(start, experiment))
    with ExitStack() as stack:
        run = _open(components, start, status.folder, stop_signal, status, stack)
        _load(components, start, run)
        _evaluate_missed_epoch(components, start, run)
        run_steps(components, start.step, run)
    status.at("the end")
    run.checkpoints.wait()
    _finish(components, run)


def _open(
    components: Components,
    start: ResumePoint,
    folder: Path,
    stop_signal: StopSignal,
    status: ExitStatus,
    stack: ExitStack,
) -> RunContext:
    """Open everything that a run writes to, and print its first lines. Collective."""
    experiment, world = components.experiment, components.world
    first = world.rank == 0
    progress = RunProgress(start.step, components.total_steps, shown=first)
    for line in (*_warnings(components), _headline(components), f"run folder: {folder}"):
        progress.say(line)
    metrics = RunMetrics(world.size, components.order.steps_per_epoch)
    record = all_or_none(world, lambda: RunRecord(folder, experiment, start.step) if first else None)
    if record is not None:
        metrics.resume(record.earlier)
    tracking = Tracking(experiment, folder, progress.say, active=first)
    checkpoints = CheckpointWriter(world, folder / FOLDER, experiment.checkpoint, progress.say)
    stack.enter_context(progress)
    profile = stack.enter_context(StepProfile(experiment.train.profile, world, folder))
    return RunContext(folder, metrics, record, tracking, progress, profile, checkpoints, stop_signal, status)


def _warnings(components: Components) -> list[str]:
    """What this run does without effect, or slowly, one line each."""
    experiment, world, strategy = components.experiment, components.world, components.strategy
    normed = any(isinstance(layer, Norm) for layer in components.table.layers)
    found = [
        *warnings(experiment),
        *strategy.warnings(experiment, world.size),
        *replica_warnings(os.environ, strategy.split_size),
        *registry.precisions[experiment.train.precision].warnings(world.device),
        *(kernel_warnings(world.device) if normed else []),
    ]
    return [f"warning: {line}" for line in found]


def _headline(components: Components) -> str:
    experiment, world, table = components.experiment, components.world, components.table
    train, shards = experiment.train, components.engine.samples.count
    mesh = " x ".join(f"{axis} {size}" for axis, size in components.strategy.mesh(world.size).items())
    return (
        f"{table.name} ({table.parameters:,} parameters) under {experiment.strategy.name} on "
        f"{world.size} ranks ({mesh}, {world.device.type}), {train.precision}; global batch {train.global_batch} = "
        f"{shards} replicas x {train.accumulate} micro-batches x {train.global_batch // shards // train.accumulate} "
        "samples"
    )


def _load(components: Components, start: ResumePoint, run: RunContext) -> None:
    """Load the checkpoint to resume from, if there is one. Collective."""
    if start.checkpoint is not None:
        state = components.engine.state()
        read_into(start.checkpoint, state, components.world)
        components.engine.load_state(state)
        run.progress.say(f"going on after step {start.step}, from {start.checkpoint}")


def _evaluate_missed_epoch(components: Components, start: ResumePoint, run: RunContext) -> None:
    """Evaluate now if the run stopped between the last step of an epoch and its evaluation. Collective."""
    if start.step == 0 or not epoch_ends(components, start.step):
        return
    known = on_first_rank(components.world, lambda: read_evaluation(run.folder, start.step))
    if known is None and components.experiment.train.evaluate:
        evaluate_epoch(components, run, start.step)
    elif known is not None:
        run.metrics.evaluation = Evaluation(**known)


def _finish(components: Components, run: RunContext) -> None:
    """Write the summary. Collective."""
    experiment, world, strategy = components.experiment, components.world, components.strategy
    hardware, held = gather_hardware(world), gather_objects(world, run.metrics.memory)
    if run.record is None:
        return
    expected = strategy.memory(experiment, components.table, world.size)
    memory = ModelMemory(held, expected, components.dtypes.parameters.itemsize)
    constant = sum(components.expected_traffic(0).values())
    mesh = strategy.mesh(world.size)
    summary = summarise(experiment, components.table, mesh, run.metrics, hardware, memory, constant)
    run.record.summary(summary)
    run.record.close()
    run.tracking.finish(summary)
    seconds, rate = summary["total_seconds"], summary["images_per_second"]
    run.progress.say(f"done in {seconds:.1f} s: {rate:.1f} images/s, summary in {run.folder / SUMMARY}")
