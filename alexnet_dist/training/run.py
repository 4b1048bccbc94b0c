"""One training run from its flags to its exit code."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from alexnet_dist.config.experiment import Experiment, resolve, warnings
from alexnet_dist.layout.agreement import all_or_none, gather_objects
from alexnet_dist.layout.layout import World
from alexnet_dist.strategies import STRATEGIES
from alexnet_dist.telemetry.peaks import model_flops_utilisation
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord, check_folder, claim_folder
from alexnet_dist.telemetry.summary import Totals, machine
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.training.ending import Ending
from alexnet_dist.training.evaluate import Evaluation
from alexnet_dist.training.launched import check_launcher, promised_world
from alexnet_dist.training.loop import Outputs, total_steps, train
from alexnet_dist.training.precision import check_precision, mixed_precision_of, precision_warnings, set_switches
from alexnet_dist.training.profile import StepProfile
from alexnet_dist.training.setup import Setup, build, check
from alexnet_dist.training.start import start


def bring_up(experiment: Experiment) -> tuple[Experiment, Accelerator, World]:
    """Check an experiment against the launcher and the machine, and start the ranks. Collective.

    Returns:
        The resolved experiment, the Accelerator and the world.
    """
    promised = promised_world(os.environ)
    experiment = resolve(experiment, promised)
    check(experiment, promised)
    mixed_precision = mixed_precision_of(experiment.train.precision)
    options = STRATEGIES[experiment.strategy.name].engine_options(experiment, promised)
    check_launcher(os.environ, options.environment, mixed_precision)
    set_switches(experiment.train.precision)
    accelerator, world = start(options, mixed_precision, promised)
    check_precision(experiment.train.precision, world.device)
    return experiment, accelerator, world


def run_training(given: Experiment, ending: Ending) -> None:
    """Train as an experiment says, in every rank that the launcher started.

    Args:
        given: as the user wrote it, unresolved.
        ending: told the run's folder as soon as it is this run's.

    Raises:
        Refusal, Diverged: see there.
    """
    experiment, accelerator, world = bring_up(given)
    all_or_none(world, lambda: check_folder(experiment) if world.rank == 0 else None)
    lines = [
        *warnings(experiment),
        *STRATEGIES[experiment.strategy.name].warnings(experiment, world.size),
        *precision_warnings(experiment.train.precision, world.device),
    ]
    setup = build(experiment, accelerator, world)
    folder = ending.folder = _claim_on_first_rank(experiment, world)
    progress = RunProgress(total_steps(setup), shown=world.rank == 0)
    for line in (*(f"warning: {text}" for text in lines), _headline(setup), f"run folder: {folder}"):
        progress.say(line)
    record = RunRecord(folder, experiment) if world.rank == 0 else None
    tracking = Tracking(accelerator, experiment, folder, progress.say)
    with progress, StepProfile(experiment.train.profile, world, folder) as profile:
        totals, evaluation = train(setup, Outputs(record, tracking, progress, profile))
    summary = _summary(setup, totals, evaluation)
    if record is not None:
        record.summary(summary)
        record.close()
    tracking.finish(summary)
    progress.say(f"done: {summary['images_per_second']:.1f} images/s, summary in {folder / 'summary.json'}")


def _claim_on_first_rank(experiment: Experiment, world: World) -> Path:
    """The run's folder, on every rank. Collective."""
    claimed = all_or_none(world, lambda: str(claim_folder(experiment)) if world.rank == 0 else None)
    folder: str = gather_objects(world, claimed)[0]
    return Path(folder)


def _headline(setup: Setup) -> str:
    experiment, layout = setup.experiment, setup.layout
    train = experiment.train
    micro = train.global_batch // layout.dp_size // train.accumulate
    return (
        f"{setup.table.name} ({setup.table.parameters:,} parameters) under {experiment.strategy.name} on "
        f"{layout.world.size} ranks (dp {layout.dp_size} x split {layout.split_size}, {layout.world.device.type}), "
        f"{train.precision}; global batch {train.global_batch} = {layout.dp_size} replicas x {train.accumulate} "
        f"micro-steps x {micro} samples"
    )


def _summary(setup: Setup, totals: Totals, evaluation: Evaluation | None) -> dict[str, Any]:
    """The contents of summary.json. Collective."""
    experiment, layout = setup.experiment, setup.layout
    figures, hardware = totals.figures(), machine(layout.world)
    precision = experiment.train.precision
    flops = figures["images_per_second"] * setup.table.training_flops
    return {
        "net": setup.table.name,
        "strategy": experiment.strategy.name,
        "world_size": layout.world.size,
        "mesh": {"dp": layout.dp_size, "split": layout.split_size},
        "precision": precision,
        "global_batch": experiment.train.global_batch,
        "parameters": setup.table.parameters,
        **figures,
        "mfu": model_flops_utilisation(flops, hardware["device_names"], precision),
        "eval": None if evaluation is None else asdict(evaluation),
        **hardware,
    }
