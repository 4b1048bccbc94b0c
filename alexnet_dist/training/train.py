"""Trains one experiment, from its settings to its record."""

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.resolve import length_warnings, size_warnings, warnings
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.units import counted, shared_batch
from alexnet_dist.data.dataset import image_size
from alexnet_dist.distributed.agreement import all_or_none, combined, gather_on_first, on_first_rank
from alexnet_dist.distributed.devices import device_warnings
from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.distributed.progress_limit import limit_of
from alexnet_dist.distributed.traffic_counter import traffic_counter
from alexnet_dist.errors import RunFailed
from alexnet_dist.kernels.availability import kernel_warnings
from alexnet_dist.launcher.exit_status import ExitStatus, end_waiting
from alexnet_dist.launcher.rank_log import log_output
from alexnet_dist.launcher.slurm import allocation_warnings
from alexnet_dist.nets.table import Norm
from alexnet_dist.telemetry.hardware import device_name, gather_hardware
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord, read_evaluation
from alexnet_dist.telemetry.run_files import SUMMARY, read_json
from alexnet_dist.telemetry.summary import RunMetrics, model_memory, summarise
from alexnet_dist.telemetry.trackers import Tracked, Tracking
from alexnet_dist.training.checkpoints.files import FOLDER, make_folder
from alexnet_dist.training.checkpoints.reader import read_into
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.evaluate import Evaluation
from alexnet_dist.training.loop import epoch_ends, evaluate_epoch, run_steps, save, what_is_missing
from alexnet_dist.training.reporting import Reporter
from alexnet_dist.training.resuming import ResumePoint, RunStart
from alexnet_dist.training.rounds import Rounds
from alexnet_dist.training.run_context import RunContext
from alexnet_dist.training.run_directory import unwritable
from alexnet_dist.training.stopping import StopSignal
from alexnet_dist.training.wiring import Components, build, init_ranks

MOST_NAMED = 20  # images that could not be read


def train(given: Experiment, status: ExitStatus, make: Callable[..., Components] = build) -> None:
    """Train an experiment; every rank that the launcher started calls this.

    Args:
        given: as the user wrote it, unresolved.
        status: gets the run directory as soon as this run owns it and, all along, what this rank is doing.
        make: makes the components, as `build` does.

    Raises:
        UsageError, Diverged, Stopped, RunFailed: see each class.
    """
    experiment, accelerator, world = init_ranks(given)
    status.last_collective = lambda: traffic_counter().last
    stop_signal = StopSignal(status.parent)
    run_start = RunStart(experiment, print)
    status.release = run_start.release
    start = on_first_rank(world, run_start.find)
    components = make(experiment, accelerator, world, resumes=start.checkpoint is not None)
    batch, parts = given.train.global_batch, given.train.accumulate
    status.memory_remedy = f"raise train.accumulate (it is {parts}), or lower train.global_batch (it is {batch})"
    folder = on_first_rank(world, lambda: run_start.open(start))
    status.own(folder)
    log_output(folder, world.rank)
    run = _open(components, start, folder, run_start.check, stop_signal, status)
    with run.progress:
        _load(components, start, run)
        _evaluate_missed_epoch(components, start, run)
        if start.step < components.total_steps:
            run_steps(components, start.step, run)
        else:
            _keep_finished(components, start, run)
    status.at("the end")
    _finish(components, start, run)


def _open(
    components: Components,
    start: ResumePoint,
    folder: Path,
    guard: Callable[[], None],
    stop_signal: StopSignal,
    status: ExitStatus,
) -> RunContext:
    """Open everything that a run writes to, and print its first lines. Collective."""
    experiment, world = components.experiment, components.world
    first, left = world.rank == 0, start.step < components.total_steps
    progress = RunProgress(start.step, components.total_steps, shown=first)
    about = [f"data: {components.data.about}"] if components.data.about else []
    for line in (*_warnings(components), _headline(components), *about, f"run directory: {folder}"):
        progress.say(line)
    meter = Meter(world, components.engine.samples.reporting_ranks)
    rounds = Rounds(world, meter, stop_signal.reason, experiment.checkpoint.every_seconds)
    metrics = RunMetrics(world.size, components.order.steps_per_epoch)
    record = all_or_none(world, lambda: _open_record(components, folder, start, guard, progress) if first else None)
    tracking = Tracking(Tracked(experiment, folder, start.step), progress.say, active=first)
    hosts = gather_on_first(world, platform.node())
    reporter = None
    if record is not None:
        metrics.resume(record.earlier, finished=not left)
        log_every = experiment.tracking.log_every
        reporter = Reporter(log_every, components.order, hosts, record, metrics, tracking, progress)
    checkpoints = CheckpointWriter(world, folder / FOLDER, experiment.checkpoint, progress.say, guard)
    compiles = experiment.train.compile  # the net, which takes minutes, for each size of batch
    limit = nullcontext() if compiles else limit_of(world, lambda: meter.waits_for_data, partial(end_waiting, status))
    return RunContext(folder, meter, rounds, limit, metrics, record, reporter, tracking, progress, checkpoints, status)


def _open_record(
    components: Components, folder: Path, start: ResumePoint, guard: Callable[[], None], progress: RunProgress
) -> RunRecord:
    try:
        make_folder(folder / FOLDER)  # else it would be missed when the first checkpoint is due
        with TemporaryFile(dir=folder / FOLDER):
            pass
        finished = start.step >= components.total_steps
        return RunRecord(folder, components.experiment, start.step, start.earlier, finished, guard, progress.say)
    except OSError as error:
        raise unwritable("run.dir", folder, error) from None


def _warnings(components: Components) -> list[str]:
    """Settings without effect, and what is slow here, one line each. Collective."""
    experiment, world, strategy = components.experiment, components.world, components.strategy
    normed = any(isinstance(layer, Norm) for layer in components.table.layers)
    found = [
        *warnings(experiment),
        *length_warnings(experiment, len(components.data.train), len(components.data.test)),
        *size_warnings(experiment, *image_size(components.data.train)),
        *strategy.warnings(experiment, world.size),
        *allocation_warnings(os.environ),
        *strategy.placement_warnings(experiment, world.size, launched_rank(os.environ).local_world_size),
        *precision_of(experiment).warnings(world.device),
        *(_by_rank(gather_on_first(world, kernel_warnings(world.device))) if normed else []),
        *device_warnings(gather_on_first(world, device_name(world.device))),
    ]
    return [f"warning: {line}" for line in found]


def _by_rank(found: Sequence[Sequence[str]]) -> list[str]:
    """Lines that ranks have found, each once; one that the first rank does not have begins with the rank that does."""
    first: dict[str, int] = {}
    for rank, lines in enumerate(found):
        for line in lines:
            first.setdefault(line, rank)
    return [f"rank {rank}: {line}" if rank else line for line, rank in first.items()]


def _headline(components: Components) -> str:
    experiment, world, table = components.experiment, components.world, components.table
    train, shards = experiment.train, components.engine.samples.count
    mesh = " x ".join(f"{axis} {size}" for axis, size in components.strategy.mesh(world.size).items())
    return (
        f"{table.name} ({table.parameters:,} parameters) under {experiment.strategy.name} on "
        f"{counted(world.size, 'rank')} ({mesh}, {world.device.type}), {train.precision}; global batch "
        f"{shared_batch(train.global_batch, shards, train.accumulate)}"
    )


def _load(components: Components, start: ResumePoint, run: RunContext) -> None:
    """Load the checkpoint to resume from, if there is one. Collective."""
    if start.checkpoint is not None:
        state = components.engine.state()
        read_into(start.checkpoint, state, components.world)
        components.engine.load_state(state)
        run.progress.say(f"resuming after step {start.step}, from {start.checkpoint}")


def _evaluate_missed_epoch(components: Components, start: ResumePoint, run: RunContext) -> None:
    """Evaluate now if the run stopped between the last step of an epoch and its evaluation. Collective."""
    if start.step == 0 or not epoch_ends(components, start.step):
        return
    known = on_first_rank(components.world, lambda: _known_evaluation(start.earlier or run.folder, start.step))
    if known is None and components.experiment.train.evaluate:
        evaluate_epoch(components, run, start.step)
    elif known is not None:
        run.metrics.evaluation = asdict(known)
        if run.record is not None:
            run.record.evaluation(start.step, run.metrics.evaluation)


def _known_evaluation(folder: Path, step: int) -> Evaluation | None:
    """The evaluation after a step, where a run has recorded it."""
    try:
        return Evaluation(**(read_evaluation(folder, step) or {}))
    except TypeError:  # there is none, or its file is damaged
        return None


def _keep_finished(components: Components, start: ResumePoint, run: RunContext) -> None:
    """All steps are done already: a new folder gets the last checkpoint, too. Collective."""
    record = "" if start.earlier is None else f"; the figures are those of {start.earlier}"
    run.progress.say(f"nothing left to do: step {start.step} of {components.total_steps} is done{record}")
    if start.folder is None and components.experiment.checkpoint.periodic:
        save(components, run, start.step)


def _finish(components: Components, start: ResumePoint, run: RunContext) -> None:
    """Write the summary, and make sure that everything is on the disk. Collective.

    Raises:
        RunFailed: something is missing from the disk.
    """
    for line in _unreadable(components):
        run.progress.say(line)
    summary = _summary(components, start, run)
    if run.record is not None:
        run.record.summary(summary)
    missing = what_is_missing(components, run)
    if missing is None and run.record is not None:
        run.record.close()
        run.tracking.finish(summary)  # no collective follows: it may take longer than other ranks wait
        missing = run.tracking.problem
    if missing is not None:
        raise RunFailed(f"trained to the end, but not all of it is on the disk: {missing}")
    if run.record is not None:
        seconds, rate = summary["total_seconds"], summary["images_per_second"]
        speed = "" if rate is None else f": {rate:.1f} images/s"
        run.progress.say(f"done in {seconds:.1f} s{speed}, summary in {run.folder / SUMMARY}")


def _unreadable(components: Components) -> list[str]:
    """Images that no rank could read, one line each; the first of very many. Collective."""
    found = combined(components.world, dict(components.data.unreadable), lambda lower, higher: lower | higher)
    if not found:
        return []
    named = [f"  {name}: {reason}" for name, reason in sorted(found.items())]
    more = [f"  and {len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    return [f"skipped {counted(len(named), 'image')} that could not be read:", *named[:MOST_NAMED], *more]


def _summary(components: Components, start: ResumePoint, run: RunContext) -> dict[str, Any]:
    """The contents of summary.json, on the first rank; a run that had already finished keeps the figures it measured
    then. Collective."""
    experiment, world, strategy = components.experiment, components.world, components.strategy
    hardware, held = gather_hardware(world), gather_on_first(world, run.metrics.memory)
    if run.record is None:
        return {}
    constant = sum(components.expected_traffic(0).values())
    mesh = strategy.mesh(world.size)
    summary = summarise(experiment, components.table, mesh, run.metrics, hardware, constant)
    expected = strategy.memory(experiment, components.table, world.size)
    summary |= model_memory(held, expected, components.dtypes.parameters.itemsize)
    summary["last_step"] = max(start.step, components.total_steps)
    earlier = read_json((start.earlier or run.folder) / SUMMARY) or {}
    if start.step < components.total_steps or earlier.get("last_step") != start.step:
        return summary
    return {**summary, **earlier, "eval": summary["eval"] or earlier.get("eval")}
