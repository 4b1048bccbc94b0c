"""What follows from the settings that a user gave, and which of them have no effect."""

import sys
from dataclasses import fields
from math import lcm
from typing import Any

from alexnet_dist import registry
from alexnet_dist.config.schema import (
    CheckpointConfig,
    DataConfig,
    Experiment,
    NetConfig,
    OptimConfig,
    TrackingConfig,
)
from alexnet_dist.config.values import Group
from alexnet_dist.errors import UsageError, alternatives
from alexnet_dist.nets.catalogue import Options
from alexnet_dist.nets.table import ShapedLayer, Table

# Mean and deviation by channel; torchvision's weights were trained with the first.
NORMALISATIONS = {"imagenet": [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]}


def resolve(experiment: Experiment, world_size: int) -> Experiment:
    """Fill in what follows from the rest.

    Raises:
        UsageError: fields contradict each other or the number of ranks.
    """
    experiment = _resolve_normalise(_resolve_net(experiment))
    if experiment.train.evaluate_views > 1 and experiment.data.crop is None:
        raise UsageError("train.evaluate_views", experiment.train.evaluate_views, "needs data.crop, such as 224 of 256")
    if experiment.run.resume == "auto" and experiment.run.overwrite:
        raise UsageError("run.overwrite", "true", "would delete the run that run.resume auto continues")
    if experiment.strategy.name == "auto":
        experiment = experiment.replace("strategy", name="ddp" if world_size > 1 else "single")
    return experiment


def _resolve_net(experiment: Experiment) -> Experiment:
    net, name = experiment.net, experiment.data.name
    data = registry.data_sets[name].facts(experiment.data)
    family = registry.nets[net.name]
    if net.classes is not None and data.classes is not None and net.classes < data.classes:
        raise UsageError("net.classes", net.classes, f"{name} has {data.classes} classes")
    if net.channels is not None and data.channels is not None and net.channels != data.channels:
        raise UsageError("net.channels", net.channels, f"{name} has {data.channels}: leave it out")
    if net.follows is not None and net.follows not in family.follows:
        raise UsageError("net.follows", net.follows, "only alexnet_2012 has a paper and a code that differ")
    facts, resolved = {"classes": data.classes, "channels": data.channels}, dict[str, Any]()
    for option in (field.name for field in fields(Options)):
        candidates = getattr(net, option), facts.get(option), getattr(family.defaults, option)
        resolved[option] = next(value for value in candidates if value is not None)
    experiment = experiment.replace("net", **resolved | {"exchange": sorted(set(resolved["exchange"]))})
    _check_towers(experiment.net)
    return experiment


def _resolve_normalise(experiment: Experiment) -> Experiment:
    given, channels = experiment.data.normalise, experiment.net.channels
    if given in ("none", "mean_image"):
        return experiment
    values = NORMALISATIONS[given] if isinstance(given, str) else given
    if len(values[0]) != channels:
        remedy = "give [[mean], [deviation]] with a value per channel, mean_image or none"
        raise UsageError(
            "data.normalise", given, f"is of {len(values[0])} channels, the images have {channels}: {remedy}"
        )
    return experiment.replace("data", normalise=values)


def table_of(net: NetConfig) -> Table:
    """The layer table of a resolved net."""
    options = {field.name: getattr(net, field.name) for field in fields(Options)}
    assert None not in options.values(), "resolved"
    table: Table = registry.nets[net.name].table(Options(**options | {"exchange": tuple(options["exchange"])}))
    return table


def _check_towers(net: NetConfig) -> None:
    layer = _undivided(net)
    if layer is None:
        return
    problem = f"the {layer.outputs[0]} outputs of {layer.layer.name} do not divide into {net.towers} towers"
    towers = [number for number in range(1, 17) if _undivided(net.model_copy(update={"towers": number})) is None]
    allowed = alternatives(towers)
    if layer.layer.name == "fc8":
        remedy = f"{problem}: choose a multiple of {net.towers}, or net.towers {allowed}"
        raise UsageError("net.classes", net.classes, remedy)
    raise UsageError("net.towers", net.towers, f"{problem}: choose {allowed}")


def _undivided(net: NetConfig) -> ShapedLayer | None:
    """The first layer that the net's towers cannot share equally."""
    assert net.towers is not None, "resolved"
    for shaped in table_of(net).shaped_layers:
        if shaped.weight and (shaped.outputs[0] % net.towers or shaped.inputs[0] % shaped.groups):
            return shaped
    return None


def warnings(experiment: Experiment) -> list[str]:
    """Settings of a resolved experiment that have no effect, one line each."""
    schedule = registry.schedules[experiment.optim.schedule]
    optim, train, net, data = experiment.optim, experiment.train, experiment.net, experiment.data
    found = [
        *_unused("optim", optim, OptimConfig(), registry.optimizers[optim.name].unused, f"optim.name {optim.name}"),
        *_unused("optim", optim, OptimConfig(), schedule.unused, f"optim.schedule {optim.schedule}"),
    ]
    if net.towers == 1 and net.exchange != sorted(registry.nets[net.name].defaults.exchange):
        found.append(f"net.exchange: {net.exchange} has no effect with one tower")
    found += _unused("data", data, DataConfig(), registry.data_sets[data.name].unused, f"data.name {data.name}")
    unread = registry.augmentations[data.augment].unused
    found += _unused("data", data, DataConfig(), unread, f"data.augment {data.augment}")
    if train.evaluate_samples is not None and not train.evaluate:
        found.append("train.evaluate_samples has no effect with train.evaluate false")
    if train.evaluate_views > 1 and not train.evaluate:
        found.append("train.evaluate_views has no effect with train.evaluate false")
    if experiment.tracking.filters_every is not None and net.channels not in (1, 3):
        found.append(f"tracking.filters_every has no effect with net.channels {net.channels}: a picture has 1 or 3")
    if experiment.run.overwrite and experiment.run.dir is None and experiment.run.name is None:
        found.append("run.overwrite has no effect without run.dir or run.name: the run gets a new directory")
    found += _checkpoint_warnings(experiment.checkpoint)
    return found + _tracking_warnings(experiment.tracking)


def _tracking_warnings(tracking: TrackingConfig) -> list[str]:
    """A line where `tracking.with` names W&B in vain, and for each field that no tracker of the run reads."""
    found, names, defaults = [], tracking.trackers, TrackingConfig()
    if "wandb" in tracking.with_ and not tracking.wandb and tracking.with_ != defaults.with_:
        found.append("tracking.with: wandb has no effect with tracking.wandb false")
    unread = tuple(field for field in ("project", "group") if all(field in registry.trackers[n].unused for n in names))
    where = f"tracking.with {','.join(names)}" if names else "tracking.wandb false" if tracking.with_ else "no tracker"
    return found + _unused("tracking", tracking, defaults, unread, where)


def _checkpoint_warnings(checkpoint: CheckpointConfig) -> list[str]:
    every, kept = checkpoint.every_steps, checkpoint.keep_every
    if not checkpoint.periodic:
        unused = ("keep", "keep_every", "background")
        return _unused("checkpoint", checkpoint, CheckpointConfig(), unused, "checkpoint.every_steps 0")
    if kept is not None and not every:
        return [f"checkpoint.keep_every: by the clock, few checkpoints are at a multiple of {kept}: set every_steps"]
    if kept is not None and kept % every:
        both = lcm(kept, every)
        return [f"checkpoint.keep_every: {kept} is no multiple of every_steps {every}: every {both} steps one is kept"]
    return []


def length_warnings(experiment: Experiment, train_samples: int, test_samples: int) -> list[str]:
    """Settings without effect, or with a surprising one, for this number of images, one line each.

    Args:
        experiment: resolved.
        train_samples, test_samples: images of the data set's parts.
    """
    train, optim = experiment.train, experiment.optim
    steps_per_epoch = -(-train_samples // train.global_batch)
    steps = min(train.epochs * steps_per_epoch, train.max_steps or sys.maxsize)
    found = registry.schedules[optim.schedule].warnings(optim, -(-steps // steps_per_epoch))
    if train.global_batch > train_samples:
        evaluated = ", with an evaluation after each" if train.evaluate else ""
        found.append(
            f"train.global_batch: {train.global_batch} is more than the {train_samples} training images: "
            f"every step takes all of them and is an epoch{evaluated}"
        )
    if train.max_steps is not None and train.max_steps > steps:
        ends = f"train.epochs {train.epochs} ends the run after {steps} step{'s' if steps > 1 else ''}"
        found.append(f"train.max_steps: {train.max_steps} has no effect: {ends}")
    if train.evaluate and (train.evaluate_samples or 0) > test_samples:
        found.append(f"train.evaluate_samples: {train.evaluate_samples} has no effect: there are {test_samples}")
    if optim.warmup_steps >= steps:
        found.append(f"optim.warmup_steps: {optim.warmup_steps} do not end within this run of {steps} steps")
    return found


def size_warnings(experiment: Experiment, height: int, width: int) -> list[str]:
    """Settings without effect for this size of the images, one line each."""
    data = experiment.data
    return [
        *registry.augmentations[data.augment].warnings(data, height, width),
        *views_warnings(experiment, height, width),
    ]


def views_warnings(experiment: Experiment, height: int, width: int) -> list[str]:
    """The same, for evaluation only."""
    views, crop = experiment.train.evaluate_views, experiment.data.crop
    if not experiment.train.evaluate or views == 1 or crop != height or crop != width:
        return []
    return [
        f"train.evaluate_views: {views} views, of which only two differ: data.crop {crop} takes all {height} x {width} "
        "pixels; choose less"
    ]


def _unused(name: str, group: Group, defaults: Group, fields: tuple[str, ...], where: str) -> list[str]:
    """A line for each of the fields that differs from its default."""
    return [
        f"{name}.{field}: {getattr(group, field)} has no effect with {where}"
        for field in fields
        if getattr(group, field) != getattr(defaults, field)
    ]
