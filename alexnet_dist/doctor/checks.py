"""What would make training fail, each problem as one line with the remedy."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from alexnet_dist import registry
from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.resolve import table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.distributed.descriptors import descriptor_limit, descriptors_needed
from alexnet_dist.distributed.devices import check_built_for, check_count, check_not_shared, device_warnings, gpu_count
from alexnet_dist.distributed.launched_rank import cpu_wanted
from alexnet_dist.distributed.network_interface import check_loopback
from alexnet_dist.doctor.facts import RankFacts
from alexnet_dist.doctor.findings import Findings, experiment_findings
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.slurm import allocation_warnings
from alexnet_dist.strategies.base import strategy_of
from alexnet_dist.training.resuming import RunStart
from alexnet_dist.training.run_directory import named_by_user
from alexnet_dist.training.wiring import check_launch

# A checkpoint holds weights and at most two moments of the optimizer, in fp32. While one is replaced there are three.
CHECKPOINT_BYTES_PER_PARAMETER, CHECKPOINTS, LOG_BYTES = 12, 3, 100_000_000


def rank_findings(facts: RankFacts, experiment: Experiment) -> Findings:
    """What is wrong with this rank, its machine, or the experiment on it.

    Args:
        experiment: resolved.
    """
    found, device = experiment_findings(experiment, facts.world_size), torch.device(facts.device)
    precision = precision_of(experiment)
    found.problems.extend([*_gpus(facts), *_descriptors(facts.world_size), *_run_folder(experiment)])
    found.ask(lambda: check_launch(experiment, facts.world_size))
    found.ask(lambda: check_built_for(device))
    found.ask(lambda: precision.check(device))
    if facts.rank == 0:
        found.ask(lambda: _check_start(experiment, found.notes.append))
    if facts.world_size == 1:
        found.notes.extend(_loopback())
    found.ask(lambda: _check_data(experiment, found.notes.append))
    strategy = strategy_of(experiment)
    found.notes.extend(
        [
            *_hidden_gpus(facts),
            *allocation_warnings(os.environ),
            *strategy.placement_warnings(experiment, facts.world_size, facts.local_world_size),
            *precision.warnings(device),
        ]
    )
    return found


def _check_start(experiment: Experiment, say: Callable[[str], None]) -> None:
    """Find where training would start, as training does, and give the run directory up again."""
    start = RunStart(experiment, say)
    try:
        start.find()
    finally:
        start.release()


def _check_data(experiment: Experiment, say: Callable[[str], None]) -> None:
    note = registry.data_sets[experiment.data.name].check(experiment.data)
    if note is not None:
        say(note)


def _gpus(facts: RankFacts) -> Iterator[UsageError]:
    visible = len(facts.visible)
    if cpu_wanted(os.environ) or not visible:
        return
    try:
        check_count(facts.local_world_size, gpu_count() or visible)
    except UsageError as error:
        yield error
        return
    if not torch.cuda.is_available():
        yield UsageError(
            "GPUs",
            f"{visible} visible",
            f"torch {torch.__version__} cannot use them: install a build for this machine's driver (nvidia-smi names "
            "the CUDA version of NVIDIA's), or export ACCELERATE_USE_CPU=true to train on the CPU",
        )


def _hidden_gpus(facts: RankFacts) -> Iterator[str]:
    usable = gpu_count()
    if 0 < usable < len(facts.visible):
        yield (
            f"GPUs: {len(facts.visible)} are named, {', '.join(facts.visible)}, and torch sees {usable}: the driver "
            "ignores what follows a number without a GPU, and all MIG devices but the first"
        )


def _loopback() -> Iterator[str]:
    try:
        check_loopback()
    except UsageError as error:
        yield f"{error}; one rank does not need it"


def _descriptors(world_size: int) -> Iterator[UsageError]:
    limit, needed = descriptor_limit(), descriptors_needed(world_size)
    if -1 < limit < needed:  # -1: none
        remedy = f"{world_size} ranks need {needed} open files: raise the hard limit (limits.conf, LimitNOFILE)"
        yield UsageError("ulimit -H -n", limit, remedy)


def _run_folder(experiment: Experiment) -> Iterator[UsageError]:
    named, field = named_by_user(experiment)
    folder = named or Path("runs")
    # Symbolic links resolved, so that .. is what the kernel makes of it.
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.exists(path))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield UsageError(field, folder, f"cannot be written ({error.strerror}): choose one that every node can write")
        return
    free = shutil.disk_usage(existing).free
    need = table_of(experiment.net).parameters * CHECKPOINT_BYTES_PER_PARAMETER * CHECKPOINTS + LOG_BYTES
    if free < need:
        yield UsageError(
            field,
            folder,
            f"the disk is nearly full: {free / 1e9:.2f} GB free, {need / 1e9:.2f} GB needed for logs and "
            f"{CHECKPOINTS} checkpoints: free some space, or choose another",
        )


def world_problems(ranks: Sequence[RankFacts]) -> list[UsageError]:
    """What is wrong with the ranks taken together.

    Args:
        ranks: in any order; some numbers may be taken twice.
    """
    return [*_duplicates(ranks), *_differences(ranks), *_shared_gpus(ranks)]


def _duplicates(ranks: Sequence[RankFacts]) -> Iterator[UsageError]:
    for rank, times in Counter(facts.rank for facts in ranks).items():
        if times > 1:
            hosts = ", ".join(sorted({facts.host for facts in ranks if facts.rank == rank}))
            yield UsageError(
                "RANK",
                f"{rank} is there {times} times, on {hosts}",
                "each node must get its own number: single quotes around $SLURM_NODEID in srun bash -c '…'",
            )


def _differences(ranks: Sequence[RankFacts]) -> Iterator[UsageError]:
    first = ranks[0]
    for package in first.versions:
        found = {facts.versions.get(package, "none"): facts for facts in ranks}
        if len(found) > 1:
            shown = ", ".join(f"{version} (rank {facts.rank} on {facts.host})" for version, facts in found.items())
            yield UsageError(package, shown, "every node must run the same: activate one environment on all of them")
    kinds = {facts.backend: facts for facts in ranks}
    if len(kinds) > 1:
        shown = ", ".join(f"{backend} (rank {facts.rank} on {facts.host})" for backend, facts in kinds.items())
        yield UsageError("devices", shown, "all ranks must have a GPU, or export ACCELERATE_USE_CPU=true for all")


def _shared_gpus(ranks: Sequence[RankFacts]) -> Iterator[UsageError]:
    by_rank = sorted(ranks, key=lambda facts: facts.rank)
    try:
        check_not_shared([facts.device_id for facts in by_rank])
    except UsageError as error:
        yield error


def world_notes(ranks: Sequence[RankFacts]) -> list[str]:
    """What a user should know about the ranks taken together, one line each."""
    return device_warnings([facts.device_name for facts in ranks])
