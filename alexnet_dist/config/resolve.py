"""What follows from the settings that a user gave, and which of them have no effect."""

from alexnet_dist.config.schema import DataConfig, Experiment, NetConfig, OptimConfig
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.catalogue import NETS, Options, build_table
from alexnet_dist.nets.table import Table

# What a data set fixes about the net; synthetic images take the net's own.
_DATA_SHAPES: dict[str, dict[str, int]] = {"fashion_mnist": {"classes": 10, "channels": 1}, "synthetic": {}}


def resolve(experiment: Experiment, world_size: int) -> Experiment:
    """Fill in what follows from the rest.

    Raises:
        UsageError: fields that contradict each other or the number of ranks.
    """
    net, defaults = experiment.net, NETS[experiment.net.name].defaults
    shape = _DATA_SHAPES[experiment.data.name]
    if net.classes is not None and net.classes < shape.get("classes", 0):
        raise UsageError("net.classes", net.classes, f"{experiment.data.name} has {shape['classes']} classes")
    if net.channels not in (None, shape.get("channels", net.channels)):
        raise UsageError("net.channels", net.channels, f"{experiment.data.name} has {shape['channels']}: leave it out")
    if net.follows == "paper" and net.name != "alexnet_2012":
        raise UsageError("net.follows", "paper", "only alexnet_2012 has a paper and a code that differ")
    experiment = experiment.replace(
        "net",
        towers=net.towers or defaults.towers,
        exchange=sorted(defaults.exchange if net.exchange is None else set(net.exchange)),
        norm=defaults.norm if net.norm is None else net.norm,
        classes=net.classes or shape.get("classes", defaults.classes),
        channels=net.channels or shape.get("channels", defaults.channels),
    )
    _check_towers(experiment.net)
    if experiment.run.resume is not None and experiment.run.overwrite:
        raise UsageError("run.overwrite", "true", f"would delete what run.resume {experiment.run.resume} goes on from")
    if experiment.strategy.name == "auto":
        experiment = experiment.replace("strategy", name="ddp" if world_size > 1 else "single")
    return experiment


def table_of(net: NetConfig) -> Table:
    """The layer table of a resolved net."""
    assert net.towers and net.classes and net.channels and net.exchange is not None and net.norm is not None
    options = Options(
        towers=net.towers,
        exchange=net.exchange,
        norm=net.norm,
        pool_overlap=net.pool_overlap,
        activation=net.activation,
        dropout=net.dropout,
        classes=net.classes,
        channels=net.channels,
        follows=net.follows,
    )
    return build_table(net.name, options)


def _check_towers(net: NetConfig) -> None:
    assert net.towers is not None, "resolved"
    for site in table_of(net).shaped_layers():
        if site.weight and (site.outputs[0] % net.towers or site.inputs[0] % site.groups):
            what = "net.classes" if site.layer.name == "fc8" else "net.towers"
            raise UsageError(
                what,
                getattr(net, what[4:]),
                f"the {site.outputs[0]} outputs of {site.layer.name} do not divide into {net.towers} towers",
            )


def warnings(experiment: Experiment) -> list[str]:
    """Settings of a resolved experiment that have no effect, one line each."""
    optim, found = experiment.optim, []
    if optim.name == "adam" and optim.momentum != OptimConfig().momentum:
        found.append(f"optim.momentum: {optim.momentum} has no effect with optim.name adam")
    if optim.lr_divisor != OptimConfig().lr_divisor and not optim.milestones:
        found.append(f"optim.lr_divisor: {optim.lr_divisor} has no effect without optim.milestones")
    late = [milestone for milestone in optim.milestones if milestone >= experiment.train.epochs]
    if late:
        found.append(f"optim.milestones: {late} lie behind the last epoch and have no effect")
    if experiment.net.towers == 1 and experiment.net.exchange != sorted(NETS[experiment.net.name].defaults.exchange):
        found.append(f"net.exchange: {experiment.net.exchange} has no effect with one tower")
    if experiment.data.name == "synthetic" and experiment.data.root is not None:
        found.append(f"data.root: {experiment.data.root} has no effect with data.name synthetic")
    if experiment.data.name != "synthetic" and experiment.data.samples != DataConfig().samples:
        found.append(f"data.samples: {experiment.data.samples} has no effect with data.name {experiment.data.name}")
    if experiment.train.evaluate_samples is not None and not experiment.train.evaluate:
        found.append("train.evaluate_samples has no effect with train.evaluate false")
    if experiment.checkpoint.every_steps == 0 and experiment.checkpoint.keep_every is not None:
        found.append("checkpoint.keep_every has no effect with checkpoint.every_steps 0")
    if experiment.tracking.group and not experiment.tracking.wandb:
        found.append(f"tracking.group: {experiment.tracking.group} has no effect with tracking.wandb false")
    return found
