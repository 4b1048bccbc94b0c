"""Every field that a user can set, with its default, its bounds and its meaning.

Fields that are None by default take the value that belongs to the rest (the net's own number of towers, the data
set's number of classes); `resolve` fills them in, so that a run's `config.yaml` has no gaps.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from alexnet_dist.errors import Refusal
from alexnet_dist.nets.catalogue import NETS, Options, build_table
from alexnet_dist.nets.table import Table

NetName = Literal["alexnet_2012", "alexnet_owt", "alexnet_fashion", "alexnet_small"]
Crossing = Literal["conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
StrategyName = Literal["auto", "single", "ddp", "split", "zero1", "zero2", "zero3", "fsdp"]
Precision = Literal["fp64", "fp32", "tf32", "bf16", "fp16"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]


class Group(BaseModel):
    """A group of fields: unknown names and wrong types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NetConfig(Group):
    name: NetName = Field("alexnet_fashion", description="which layer table")
    towers: int | None = Field(None, ge=1, le=16, description="towers the net is cut into; default: the net's own")
    exchange: list[Crossing] | None = Field(
        None, description="layers that see all towers' maps; default: [conv3, fc6, fc7, fc8]"
    )
    norm: bool | None = Field(None, description="response norm behind conv1 and conv2; default: the net's own")
    pool_overlap: bool = Field(True, description="pool 3x3 windows at stride 2; false: 2x2")
    activation: Literal["relu", "tanh"] = Field("relu", description="non-linearity")
    dropout: float = Field(0.5, ge=0, lt=1, description="probability that a unit of fc6 and fc7 is dropped")
    classes: int | None = Field(None, ge=2, le=1_000_000, description="default: the data set's, else the net's")
    channels: int | None = Field(None, ge=1, le=64, description="default: the data set's, else the net's")
    follows: Literal["code", "paper"] = Field(
        "code",
        description="alexnet_2012: order of ReLU, norm and pool and initial weights as in its code or paper",
    )


class DataConfig(Group):
    name: Literal["fashion_mnist", "synthetic"] = Field("fashion_mnist", description="data set")
    root: str | None = Field(None, description="folder of the files; default: the usual places are searched")
    workers: int = Field(1, ge=0, le=64, description="threads that prepare batches ahead; 0: none")
    samples: int = Field(2048, ge=1, le=10_000_000, description="synthetic: images of each of the two parts")


class StrategyConfig(Group):
    name: StrategyName = Field("auto", description="how the net lies on the ranks; auto: ddp, or single for one rank")
    gradient_dtype: Literal["fp32", "bf16"] | None = Field(
        None, description="dtype of gradients on the wire between replicas; default: the parameters' own"
    )
    offload_optimizer: bool = Field(False, description="zero1 to zero3: update weights on the host, state lies there")
    shard_ranks: int | None = Field(
        None, ge=2, le=1_000_000, description="fsdp: ranks that share one copy of the net; default: all of them"
    )
    reshard_after_forward: bool = Field(
        True, description="fsdp: free gathered weights after forward; false: keep them for backward, gather once"
    )
    communicate: bool = Field(
        True, description="false: a control run that sends nothing, to see what sending costs; it does not learn right"
    )


class OptimConfig(Group):
    name: Literal["sgd", "adam"] = Field("adam", description="optimiser")
    lr: float = Field(1e-3, gt=0, le=1e3, description="learning rate of weights at the start")
    bias_lr: float | None = Field(
        None,
        gt=0,
        le=1e3,
        description="constant learning rate of biases; default: as the weights, steps included",
    )
    milestones: list[Annotated[int, Field(ge=1)]] = Field(
        [], description="epochs from which the rate is divided by lr_divisor, once more at each"
    )
    lr_divisor: float = Field(10.0, gt=1, le=1e6, description="see milestones")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd: momentum")
    weight_decay: float = Field(0.0, ge=0, le=10, description="decay of weights; biases never decay")


class TrainConfig(Group):
    global_batch: int = Field(128, ge=1, le=1_000_000, description="samples of one optimiser step over all ranks")
    accumulate: int = Field(1, ge=1, le=100_000, description="micro-steps of one optimiser step")
    epochs: int = Field(1, ge=1, le=1_000_000, description="passes over the training images")
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps, if epochs are not over before")
    precision: Precision = Field("fp32", description="arithmetic; bf16, fp16: autocast, weights stay fp32")
    clip_norm: float | None = Field(None, gt=0, le=1e9, description="limit of the gradient's norm over all ranks")
    profile: int | None = Field(None, ge=1, le=1000, description="trace so many steps of rank 0, after the first two")
    timeout: int = Field(20, ge=1, le=86_400, description="seconds until a rank that does not answer ends the run")
    evaluate: bool = Field(True, description="evaluate on the test images after each epoch and after the last step")
    evaluate_samples: int | None = Field(None, ge=1, description="evaluate on so many test images only; default: all")


class CheckpointConfig(Group):
    every_steps: int = Field(500, ge=0, description="steps between two; one more at the end. 0: only when stopped")
    keep: int = Field(2, ge=1, le=1_000_000, description="how many of the newest are kept")
    keep_every: int | None = Field(None, ge=1, description="those whose step is a multiple of it are kept for good")
    background: bool = Field(True, description="write while training goes on")


class TrackingConfig(Group):
    wandb: bool = Field(True, description="log to Weights & Biases; offline where nobody is logged in")
    project: Name = Field("alexnet-dist", description="W&B project")
    group: Name | None = Field(None, description="W&B group")
    log_every: int = Field(10, ge=1, le=1_000_000, description="steps in a window: printed, logged and checked for NaN")


class RunConfig(Group):
    name: Name | None = Field(None, description="default: NET-STRATEGY, with the next free number")
    dir: str | None = Field(None, min_length=1, description="the run's own folder; default: runs/NAME")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of weights, sample order and dropout masks")
    overwrite: bool = Field(False, description="delete an earlier run in the same folder")
    resume: str | None = Field(
        None, min_length=1, description="auto: go on in the run's own folder, if it has a run; else a checkpoint's path"
    )


class Experiment(Group):
    """One training run, whole."""

    net: NetConfig = NetConfig()
    data: DataConfig = DataConfig()
    strategy: StrategyConfig = StrategyConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    tracking: TrackingConfig = TrackingConfig()
    run: RunConfig = RunConfig()

    def replace(self, group: str, **values: Any) -> Self:
        """A copy in which fields of one group have other values."""
        return self.model_copy(update={group: getattr(self, group).model_copy(update=values)})


# What a data set fixes about the net; synthetic images take the net's own.
_DATA_SHAPES: dict[str, dict[str, int]] = {"fashion_mnist": {"classes": 10, "channels": 1}, "synthetic": {}}


def resolve(experiment: Experiment, world_size: int) -> Experiment:
    """Fill in what follows from the rest.

    Raises:
        Refusal: fields that contradict each other or the number of ranks.
    """
    net, defaults = experiment.net, NETS[experiment.net.name].defaults
    shape = _DATA_SHAPES[experiment.data.name]
    if net.classes is not None and net.classes < shape.get("classes", 0):
        raise Refusal("net.classes", net.classes, f"{experiment.data.name} has {shape['classes']} classes")
    if net.channels not in (None, shape.get("channels", net.channels)):
        raise Refusal("net.channels", net.channels, f"{experiment.data.name} has {shape['channels']}: leave it out")
    if net.follows == "paper" and net.name != "alexnet_2012":
        raise Refusal("net.follows", "paper", "only alexnet_2012 has a paper and a code that differ")
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
        raise Refusal("run.overwrite", "true", f"would delete what run.resume {experiment.run.resume} goes on from")
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
    for site in table_of(net).sites():
        if site.weight and (site.outputs[0] % net.towers or site.inputs[0] % site.groups):
            what = "net.classes" if site.layer.name == "fc8" else "net.towers"
            raise Refusal(
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
