"""Every field that a user can set, with its default, its bounds and its meaning.

Fields that are None by default take a value that follows from others (the net's own number of towers, the data set's
number of classes); `resolve` fills them in, so that a run's `config.yaml` has no gaps.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from alexnet_dist.config.values import (
    AugmentationName,
    Crossing,
    DataName,
    Distinct,
    FilePath,
    Group,
    Name,
    NetName,
    Normalise,
    OptimizerName,
    PathOrAddress,
    PrecisionName,
    ScheduleName,
    StrategyName,
    TrackerName,
    Views,
)

MOST_SAMPLES = 1_000_000  # of a step


class NetConfig(Group):
    """The network."""

    name: NetName = Field("alexnet_fashion", description="which layer table")
    towers: int | None = Field(None, ge=1, le=16, description="towers the net is cut into; default: the net's own")
    exchange: Annotated[list[Crossing], Distinct] | None = Field(
        None, description="layers that see all towers' maps; default: [conv3, fc6, fc7, fc8]"
    )
    norm: bool | None = Field(None, description="response norm after conv1 and conv2; default: the net's own")
    pool_overlap: bool | None = Field(
        None, description="pool 3x3 windows at stride 2; false: 2x2; default: the net's own"
    )
    activation: Literal["relu", "tanh"] | None = Field(None, description="non-linearity; default: the net's own")
    dropout: float | None = Field(
        None, ge=0, lt=1, description="probability that a unit of fc6 and fc7 is dropped; default: the net's own"
    )
    classes: int | None = Field(None, ge=2, le=1_000_000, description="default: the data set's, else the net's")
    channels: int | None = Field(None, ge=1, le=64, description="default: the data set's, else the net's")
    follows: Literal["code", "paper"] | None = Field(
        None,
        description="alexnet_2012: order of ReLU, norm and pool and initial weights as in its code or paper; "
        "default: the net's own",
    )
    weights: FilePath | None = Field(
        None,
        description="start from these: a run, a checkpoint, exported safetensors, or torchvision's AlexNet state dict",
    )


class DataConfig(Group):
    """The images."""

    name: DataName = Field("fashion_mnist", description="data set")
    root: PathOrAddress | None = Field(None, description="folder of the files; default: the usual places are searched")
    workers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="threads that read, decode and prepare batches ahead; 0: none; default: 1, or for image files on "
        "a GPU the rank's share of the cores but one, at most 16",
    )
    prefetch: int = Field(
        2, ge=1, le=64, description="batches ready or in preparation ahead of a step, which bounds the memory"
    )
    broken: Literal["skip", "refuse"] = Field(
        "skip",
        description="image files that cannot be read: skip replaces each by another image and lists them at the end; "
        "refuse ends the run",
    )
    stage: FilePath | None = Field(
        None, description="prepared data is first copied to this folder, once on each machine"
    )
    crop: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="height and width of the square of each image that is resized to the net's input: the centre, or "
        "the one that augment chooses; default: the whole image",
    )
    normalise: Normalise = Field(
        "none",
        description="for inputs scaled to [0, 1]: [[mean, …], [deviation, …]] by channel, or a name for those; "
        "mean_image: the mean of the training images is subtracted from inputs of 0 to 255",
    )
    augment: AugmentationName = Field(
        "none",
        description="random changes of training images: alexnet: squares of crop pixels, mirroring, colour noise; "
        "inception: parts of any area and shape, mirroring, colour jitter",
    )
    crop_padding: int = Field(0, ge=0, le=1000, description="alexnet: black pixels around images before they are cut")
    colour_noise: float = Field(
        0.1,
        ge=0,
        le=10,
        description="alexnet: noise along the principal components of the training images' colours, in their "
        "standard deviations",
    )
    min_area: float = Field(
        0.08, gt=0, le=1, description="inception: smallest share of an image's area that is cut out"
    )
    colour_jitter: float = Field(
        0.4, ge=0, le=1, description="inception: brightness, contrast and saturation change by up to this share"
    )
    samples: int = Field(2048, ge=1, le=10_000_000, description="synthetic: images of each of the two parts")


class StrategyConfig(Group):
    """How the training is distributed over the ranks."""

    name: StrategyName = Field("auto", description="how the ranks share the work; auto: ddp, or single for one rank")
    gradient_dtype: Literal["fp32", "bf16"] | None = Field(
        None, description="dtype of gradients on the wire between replicas; default: the parameters' own"
    )
    offload_optimizer: bool = Field(False, description="zero1 to zero3: update weights, and keep state, on the host")
    shard_ranks: int | None = Field(
        None, ge=2, le=1_000_000, description="fsdp: ranks that share one copy of the net; default: all of them"
    )
    reshard_after_forward: bool = Field(
        True, description="fsdp, zero3: free gathered weights after forward; false: keep them, gather once"
    )
    communicate: bool = Field(
        True, description="false: a control run that sends nothing, to see what sending costs; it trains incorrectly"
    )


class OptimConfig(Group):
    """The optimizer and its learning rates."""

    name: OptimizerName = Field("adam", description="optimizer")
    lr: float = Field(1e-3, gt=0, le=1e3, description="learning rate of weights at the start")
    bias_lr: float | None = Field(
        None,
        gt=0,
        le=1e3,
        description="constant learning rate of biases; default: that of the weights",
    )
    schedule: ScheduleName = Field("steps", description="how the learning rate of weights changes during training")
    warmup_steps: int = Field(0, ge=0, le=10_000_000, description="steps in which rates rise linearly to their values")
    final_lr: float = Field(0.0, ge=0, le=1e3, description="cosine, polynomial: rate at the end of the run")
    power: float = Field(2.0, gt=0, le=100, description="polynomial: exponent of the share of steps that are left")
    milestones: list[Annotated[int, Field(ge=1)]] = Field(
        [], description="steps: epochs from which the rate is divided by lr_divisor, once more at each"
    )
    lr_divisor: float = Field(10.0, gt=1, le=1e6, description="steps: see milestones")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd, lars: momentum")
    trust: float = Field(1e-3, gt=0, le=10, description="lars: share of its norm that a layer moves at a rate of 1")
    weight_decay: float = Field(0.0, ge=0, le=10, description="decay of weights; biases never decay")


class TrainConfig(Group):
    """The training: batches, length, arithmetic."""

    global_batch: int = Field(128, ge=1, le=MOST_SAMPLES, description="samples of one optimizer step over all ranks")
    accumulate: int = Field(1, ge=1, le=100_000, description="micro-batches of one optimizer step")
    epochs: int = Field(1, ge=1, le=1_000_000, description="passes over the training images")
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps, if epochs are not over by then")
    precision: PrecisionName = Field("fp32", description="arithmetic; bf16, fp16: autocast, weights stay fp32")
    compile: bool = Field(
        False,
        description="torch.compile the net (single, ddp); the first batch of each size takes a minute more",
    )
    clip_norm: float | None = Field(None, gt=0, le=1e9, description="limit of the gradient's norm over all ranks")
    profile: int | None = Field(None, ge=1, le=1000, description="trace this many steps of rank 0, after the first two")
    timeout: int = Field(20, ge=1, le=86_400, description="seconds until a rank that does not answer ends the run")
    evaluate: bool = Field(True, description="evaluate on the test images after each epoch and after the last step")
    evaluate_samples: int | None = Field(None, ge=1, description="evaluate on this many test images only; default: all")
    evaluate_views: Views = Field(
        1,
        description="squares of data.crop pixels of a test image: the centre; or four corners, centre and their mirror "
        "images, whose probabilities are averaged",
    )


class CheckpointConfig(Group):
    """When checkpoints are written, and which are kept."""

    every_steps: int = Field(500, ge=0, description="steps between checkpoints, one more at the end; 0: none by steps")
    every_seconds: int | None = Field(
        None, ge=1, le=1_000_000, description="seconds between them, as well; with neither, only a stopped run saves"
    )
    keep: int = Field(2, ge=1, le=1_000_000, description="how many of the newest are kept")
    keep_every: int | None = Field(None, ge=1, description="those whose step is a multiple of this are never deleted")
    background: bool = Field(True, description="write while training goes on")

    @property
    def periodic(self) -> bool:
        """Whether checkpoints are written without being asked for, one of them at the end."""
        return self.every_steps > 0 or self.every_seconds is not None


class TrackingConfig(Group):
    """What is logged, and where."""

    with_: Annotated[list[TrackerName], Distinct] = Field(
        ["wandb"], alias="with", description="trackers of the run; []: none"
    )
    wandb: bool = Field(True, description="false: without Weights & Biases, whatever tracking.with says")
    project: Name | None = Field(None, description="W&B project; default: WANDB_PROJECT, else alexnet-dist")
    group: Name | None = Field(None, description="W&B group; default: WANDB_RUN_GROUP")
    log_every: int = Field(10, ge=1, le=1_000_000, description="steps in a window, which is printed and logged")
    filters_every: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="epochs between pictures of the first layer's kernels, one more at the end: in the run directory "
        "and in trackers, with each tower's share of colour; default: none",
    )

    @property
    def trackers(self) -> list[str]:
        """The names of those that follow the run, each once."""
        return [name for name in dict.fromkeys(self.with_) if self.wandb or name != "wandb"]


class RunConfig(Group):
    """The run's name, folder and seed."""

    name: Name | None = Field(None, description="default: NET-STRATEGY, with the next free number")
    dir: FilePath | None = Field(None, description="the run's own directory; default: runs/NAME")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of weights, sample order and dropout masks")
    overwrite: bool = Field(False, description="delete an earlier run in the same folder")
    resume: FilePath | None = Field(
        None, description="auto: continue the run in the run's own directory, if there is one; else a checkpoint's path"
    )


class Experiment(Group):
    """All settings of one training run."""

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
