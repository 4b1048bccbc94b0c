"""What follows from the settings that a user gave, and which of them have no effect."""

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig, Experiment, Group, NetConfig, OptimConfig
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.catalogue import Options
from alexnet_dist.nets.table import Table

# Mean and deviation by channel; torchvision's weights were trained with the first.
NORMALISATIONS = {"imagenet": [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]}


def resolve(experiment: Experiment, world_size: int) -> Experiment:
    """Fill in what follows from the rest.

    Raises:
        UsageError: fields contradict each other or the number of ranks.
    """
    experiment = _resolve_normalise(_resolve_net(experiment))
    if experiment.run.resume is not None and experiment.run.overwrite:
        raise UsageError("run.overwrite", "true", f"would delete what run.resume {experiment.run.resume} goes on from")
    if experiment.strategy.name == "auto":
        experiment = experiment.replace("strategy", name="ddp" if world_size > 1 else "single")
    return experiment


def _resolve_net(experiment: Experiment) -> Experiment:
    net, data = experiment.net, registry.data_sets[experiment.data.name]
    family = registry.nets[net.name]
    if net.classes is not None and data.classes is not None and net.classes < data.classes:
        raise UsageError("net.classes", net.classes, f"{data.name} has {data.classes} classes")
    if net.channels is not None and data.channels is not None and net.channels != data.channels:
        raise UsageError("net.channels", net.channels, f"{data.name} has {data.channels}: leave it out")
    if net.follows not in family.follows:
        raise UsageError("net.follows", net.follows, "only alexnet_2012 has a paper and a code that differ")
    defaults = family.defaults
    experiment = experiment.replace(
        "net",
        towers=net.towers or defaults.towers,
        exchange=sorted(defaults.exchange if net.exchange is None else set(net.exchange)),
        norm=defaults.norm if net.norm is None else net.norm,
        classes=net.classes or data.classes or defaults.classes,
        channels=net.channels or data.channels or defaults.channels,
    )
    _check_towers(experiment.net)
    return experiment


def _resolve_normalise(experiment: Experiment) -> Experiment:
    given, channels = experiment.data.normalise, experiment.net.channels
    if given == "none":
        return experiment
    values = NORMALISATIONS[given] if isinstance(given, str) else given
    if len(values[0]) != channels:
        raise UsageError("data.normalise", given, f"has {len(values[0])} channels, the images have {channels}: match them")
    return experiment.replace("data", normalise=values)


def table_of(net: NetConfig) -> Table:
    """The layer table of a resolved net."""
    assert net.towers and net.classes and net.channels and net.exchange is not None and net.norm is not None
    options = Options(
        towers=net.towers,
        exchange=tuple(net.exchange),
        norm=net.norm,
        pool_overlap=net.pool_overlap,
        activation=net.activation,
        dropout=net.dropout,
        classes=net.classes,
        channels=net.channels,
        follows=net.follows,
    )
    table: Table = registry.nets[net.name].table(options)
    return table


def _check_towers(net: NetConfig) -> None:
    assert net.towers is not None, "resolved"
    for shaped in table_of(net).shaped_layers:
        if shaped.weight and (shaped.outputs[0] % net.towers or shaped.inputs[0] % shaped.groups):
            field = "net.classes" if shaped.layer.name == "fc8" else "net.towers"
            raise UsageError(
                field,
                getattr(net, field.removeprefix("net.")),
                f"the {shaped.outputs[0]} outputs of {shaped.layer.name} do not divide into {net.towers} towers",
            )


def warnings(experiment: Experiment) -> list[str]:
    """Settings of a resolved experiment that have no effect, one line each."""
    schedule = registry.schedules[experiment.optim.schedule]
    optim, train, net, data = experiment.optim, experiment.train, experiment.net, experiment.data
    found = [
        *_unused("optim", optim, OptimConfig(), registry.optimizers[optim.name].unused, f"optim.name {optim.name}"),
        *_unused("optim", optim, OptimConfig(), schedule.unused, f"optim.schedule {optim.schedule}"),
        *schedule.warnings(optim, train.epochs),
    ]
    if net.towers == 1 and net.exchange != sorted(registry.nets[net.name].defaults.exchange):
        found.append(f"net.exchange: {net.exchange} has no effect with one tower")
    found += _unused("data", data, DataConfig(), registry.data_sets[data.name].unused, f"data.name {data.name}")
    if train.evaluate_samples is not None and not train.evaluate:
        found.append("train.evaluate_samples has no effect with train.evaluate false")
    if experiment.checkpoint.every_steps == 0 and experiment.checkpoint.keep_every is not None:
        found.append("checkpoint.keep_every has no effect with checkpoint.every_steps 0")
    if experiment.tracking.group and not experiment.tracking.wandb:
        found.append(f"tracking.group: {experiment.tracking.group} has no effect with tracking.wandb false")
    return found


def _unused(name: str, group: Group, defaults: Group, fields: tuple[str, ...], where: str) -> list[str]:
    """A line for each of the fields that differs from its default."""
    return [
        f"{name}.{field}: {getattr(group, field)} has no effect with {where}"
        for field in fields
        if getattr(group, field) != getattr(defaults, field)
    ]
