"""One training run from its flags to its exit code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator

from alexnet_dist.config.resolve import resolve, table_of, warnings
from alexnet_dist.config.schema import Experiment
from alexnet_dist.distributed.agreement import all_or_none, gather_objects
from alexnet_dist.distributed.init import start
from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.traffic import traffic_counter
from alexnet_dist.kernels.build import kernel_warnings
from alexnet_dist.launcher.environment import launcher_world_size, refuse_other_engines, replica_warnings
from alexnet_dist.launcher.exit_status import ExitStatus
from alexnet_dist.strategies import STRATEGIES
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
from alexnet_dist.training.loop import Outputs, Safety, epoch_ends, evaluate_epoch, total_steps, train
from alexnet_dist.training.precision import check_precision, mixed_precision_of, precision_warnings, set_switches
from alexnet_dist.training.resuming import ResumePoint, claim, find_resume_point
from alexnet_dist.training.stopping import StopSignal
from alexnet_dist.training.wiring import Components, build, check

T = TypeVar("T")


def init_ranks(experiment: Experiment) -> tuple[Experiment, Accelerator, World]:
    """Check an experiment against the launcher and the machine, and start the ranks. Collective.

    Returns:
        The resolved experiment, the Accelerator and the world.
    """
    promised = launcher_world_size(os.environ)
    experiment = resolve(experiment, promised)
    check(experiment, promised)
    mixed_precision = mixed_precision_of(experiment.train.precision)
    options = STRATEGIES[experiment.strategy.name].accelerator_options(experiment, promised)
    refuse_other_engines(os.environ, options.environment, mixed_precision)
    set_switches(experiment.train.precision)
    accelerator, world = start(options, mixed_precision, promised)
    check_precision(experiment.train.precision, world.device)
    return experiment, accelerator, world


def train_experiment(given: Experiment, ending: ExitStatus) -> None:
    """Train as an experiment says, in every rank that the launcher started.

    Args:
        given: as the user wrote it, unresolved.
        ending: told the run's folder as soon as it is this run's, and what this rank is doing.

    Raises:
        UsageError, Diverged, Stopped: see there.
    """
    experiment, accelerator, world = init_ranks(given)
    ending.last_collective = lambda: traffic_counter().last
    vote = StopSignal(world)
    origin = _on_first_rank(world, lambda: find_resume_point(experiment, print))
    lines = [
        *warnings(experiment),
        *STRATEGIES[experiment.strategy.name].warnings(experiment, world.size),
        *replica_warnings(os.environ, STRATEGIES[experiment.strategy.name].split_size),
        *precision_warnings(experiment.train.precision, world.device),
        *kernel_warnings(table_of(experiment.net), world.device),
    ]
    components = build(experiment, accelerator, world)
    folder = ending.folder = _on_first_rank(world, lambda: claim(origin, experiment))
    progress = RunProgress(origin.step, total_steps(components), shown=world.rank == 0)
    for line in (*(f"warning: {text}" for text in lines), _headline(components), f"run folder: {folder}"):
        progress.say(line)
    totals = RunMetrics(world.size)
    record = all_or_none(world, lambda: RunRecord(folder, experiment, origin.step) if world.rank == 0 else None)
    if record is not None:
        totals.resume(record.earlier)
    if origin.checkpoint is not None:
        read_into(origin.checkpoint, state := components.strategy.state(), world)
        components.strategy.load_state(state)
        progress.say(f"going on after step {origin.step}, from {origin.checkpoint}")
    tracking = Tracking(experiment, folder, progress.say, active=world.rank == 0)
    checkpoints = CheckpointWriter(world, folder / FOLDER, experiment.checkpoint, progress.say)
    safety = Safety(checkpoints, vote, ending.at)
    with progress, StepProfile(experiment.train.profile, world, folder) as profile:
        outputs = Outputs(record, tracking, progress, profile)
        _evaluate_what_is_owed(components, origin, folder, totals, outputs, safety)
        train(components, origin.step, totals, outputs, safety)
    ending.at("the end")
    checkpoints.wait()
    _finish(components, totals, outputs, folder)


def _on_first_rank(world: World, action: Callable[[], T]) -> T:
    """What the first rank decides, on every rank. Collective."""
    decided = all_or_none(world, lambda: action() if world.rank == 0 else None)
    given: T = gather_objects(world, decided)[0]
    return given


def _evaluate_what_is_owed(
    components: Components, origin: ResumePoint, folder: Path, totals: RunMetrics, outputs: Outputs, safety: Safety
) -> None:
    """A run that stopped between the last step of an epoch and its evaluation makes up for it. Collective."""
    if origin.step == 0 or not epoch_ends(components, origin.step):
        return
    known = _on_first_rank(components.layout.world, lambda: read_evaluation(folder, origin.step))
    if known is None:
        evaluate_epoch(components, totals, outputs, safety, origin.step)
    else:
        totals.evaluation = Evaluation(**known)


def _finish(components: Components, totals: RunMetrics, outputs: Outputs, folder: Path) -> None:
    """Write the summary. Collective."""
    experiment, world = components.experiment, components.layout.world
    hardware, held = gather_hardware(world), gather_objects(world, totals.memory)
    if outputs.record is None:
        return
    strategy, clips = components.strategy, experiment.train.clip_norm is not None
    expected = strategy.expected_memory(experiment, components.table, world.size, components.dtypes)
    memory = ModelMemory(held, expected, next(components.net.parameters()).dtype.itemsize)
    constant = sum(strategy.expected_traffic(components.table, 0, clips).values())
    mesh = {"dp": components.layout.dp_size, "split": components.layout.split_size}
    summary = summarise(experiment, components.table, mesh, totals, hardware, memory, constant)
    outputs.record.summary(summary)
    outputs.record.close()
    outputs.tracking.finish(summary)
    outputs.progress.say(f"done: {summary['images_per_second']:.1f} images/s, summary in {folder / SUMMARY}")


def _headline(components: Components) -> str:
    experiment, layout = components.experiment, components.layout
    train = experiment.train
    micro = train.global_batch // layout.dp_size // train.accumulate
    return (
        f"{components.table.name} ({components.table.parameters:,} parameters) under {experiment.strategy.name} on "
        f"{layout.world.size} ranks (dp {layout.dp_size} x split {layout.split_size}, {layout.world.device.type}), "
        f"{train.precision}; global batch {train.global_batch} = {layout.dp_size} replicas x {train.accumulate} "
        f"micro-steps x {micro} samples"
    )
