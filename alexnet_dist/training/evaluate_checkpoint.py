"""`alexnet-dist evaluate`: accuracy of a checkpoint on the test images, in one process or on ranks."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alexnet_dist.config.load import read_flags, validate
from alexnet_dist.config.resolve import views_warnings
from alexnet_dist.config.schema import MOST_SAMPLES, Experiment
from alexnet_dist.data.dataset import image_size
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.environment import enter_world

# Groups and fields that may be set anew; the rest of an experiment says how to train.
_GROUPS = ("net", "data", "strategy")
_TRAIN = ("precision", "timeout", "evaluate_samples", "evaluate_views")


def evaluate_checkpoint(checkpoint: Path, batch: int, flags: Sequence[str]) -> None:
    """Evaluate, and print one line on rank 0. Collective.

    Args:
        checkpoint: or the directory of the run that has it.
        batch: images that a rank computes at once, 1 or more.
        flags: dotted ones, which win over the checkpoint's own experiment.

    Raises:
        UsageError: there is no undamaged checkpoint, or a flag would make it a different net.
    """
    given, unused = _split(flags)
    launched = enter_world(os.environ)
    if batch * launched.world_size > MOST_SAMPLES:
        remedy = f"on {launched.world_size} ranks it is at most {MOST_SAMPLES // launched.world_size}"
        raise UsageError("--batch", batch, remedy)
    say: Callable[[str], None] = print if launched.rank == 0 else lambda _: None
    for field in unused:
        say(f"warning: {field} has no effect on evaluation")
    # Imported after the flags are checked: torch takes seconds.
    from alexnet_dist.distributed.agreement import on_first_rank
    from alexnet_dist.training.checkpoints import reader
    from alexnet_dist.training.evaluate import evaluate
    from alexnet_dist.training.wiring import build, init_ranks

    path, manifest = reader.first_undamaged(reader.find(checkpoint), say)
    experiment = _experiment(manifest.experiment, given, batch * launched.world_size)
    with _where_data_has_moved(given):
        experiment, accelerator, world = init_ranks(experiment)
        reader.check_same(manifest, experiment, reader.NET)
        # One for all: a run that is under way may have saved another one meanwhile.
        path, step = on_first_rank(world, lambda: (path, manifest.step))
        components = build(experiment, accelerator, world, resumes=True)
    reader.read_into(path, state := components.engine.state(), world)
    components.engine.load_state(state)
    for line in views_warnings(experiment, *image_size(components.data.test)):
        say(f"warning: {line}")
    evaluation = evaluate(components)
    if world.rank == 0:
        print(f"step {step}: {evaluation}", flush=True)


def _split(flags: Sequence[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Values that evaluation takes, by group and field, and the fields that it does not.

    Raises:
        UsageError: an experiment's file is given, though the checkpoint holds its own experiment.
    """
    configs, values = read_flags(list(flags))
    if configs:
        raise UsageError("--config", configs[0], "the checkpoint has its own experiment: give single fields")
    checked = validate(values).model_dump(exclude_unset=True)
    taken: dict[str, dict[str, Any]] = {}
    unused = []
    for group, fields in checked.items():
        for field, value in fields.items():
            if group in _GROUPS or (group == "train" and field in _TRAIN):
                taken.setdefault(group, {})[field] = value
            else:
                unused.append(f"{group}.{field}")
    return taken, unused


@contextmanager
def _where_data_has_moved(given: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Name the flag for data that are no longer where they were in training."""
    try:
        yield
    except UsageError as error:
        if error.field != "data.root" or "root" in given.get("data", {}):
            raise
        raise UsageError(error.field, error.given, f"{error.remedy}; if it has moved, give --data.root") from None


def _experiment(trained: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], global_batch: int) -> Experiment:
    """The checkpoint's net and data on these ranks, whatever strategy and batch trained it."""
    train = {field: trained["train"][field] for field in _TRAIN if field in trained["train"]}
    return validate(
        {
            "net": {**trained["net"], **given.get("net", {})},
            "data": {**trained["data"], **given.get("data", {})},
            "strategy": dict(given.get("strategy", {})),
            "optim": trained["optim"],  # whose state the checkpoint holds
            "train": {**train, **given.get("train", {}), "global_batch": global_batch},
            "run": {"seed": trained["run"]["seed"]},
        },
        stored=True,
    )
