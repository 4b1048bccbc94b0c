"""Wires a run together: checks the experiment, initialises the ranks, and puts net, strategy and data on them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from accelerate import Accelerator
from torch import Tensor

from alexnet_dist import registry
from alexnet_dist.config.precisions import precision_of, set_switches
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import DataConfig, Experiment
from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.augmentations import Augmentation
from alexnet_dist.data.dataset import Parts
from alexnet_dist.data.loader import Loader, MicroBatch
from alexnet_dist.data.order import Order
from alexnet_dist.data.sharding_check import check_samples
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.agreement import all_or_none
from alexnet_dist.distributed.bring_up import (
    STARTUP_TIMEOUT,
    AcceleratorOptions,
    init_distributed,
    limit_waiting,
)
from alexnet_dist.distributed.mesh import World
from alexnet_dist.errors import UsageError
from alexnet_dist.kernels.availability import kernel_problem
from alexnet_dist.launcher.environment import enter_world, refuse_other_engines
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.nets.table import Dropout, Table
from alexnet_dist.rng import Rng
from alexnet_dist.strategies.base import Strategy, strategy_of
from alexnet_dist.strategies.check import check_experiment
from alexnet_dist.strategies.engines.base import Dtypes, Engine
from alexnet_dist.telemetry.trackers import check_trackers
from alexnet_dist.training.checkpoints.files import MEAN_IMAGE
from alexnet_dist.training.initial_weights import load_initial_weights
from alexnet_dist.training.optimizers import make_optimizer
from alexnet_dist.training.schedules import Position


@dataclass(frozen=True)
class Components:
    """What the loop works with.

    Attributes:
        experiment: resolved.
        table: of the whole net.
        strategy: its facts, known without ranks; `engine` runs it.
        data: opened for this rank's device.
        augmenter: of training images.
        dtypes: of parameters and of arithmetic.
    """

    experiment: Experiment
    table: Table
    strategy: Strategy
    engine: Engine
    rng: Rng
    order: Order
    data: Parts
    augmenter: Augmenter
    dtypes: Dtypes
    _expected: dict[int, dict[str, int]] = field(default_factory=dict)  # traffic by samples: the same in most steps

    @property
    def world(self) -> World:
        return self.engine.world

    @property
    def transform(self) -> InputTransform:
        return self.augmenter.transform

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: the engine's state, and the mean image where inputs need it. Collective."""
        state, statistics = self.engine.state(), self.augmenter.statistics
        if self.experiment.data.normalise == "mean_image" and statistics is not None:
            state[MEAN_IMAGE] = statistics.mean_image
        return state

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        train = self.experiment.train
        steps = train.epochs * self.order.steps_per_epoch
        return steps if train.max_steps is None else min(steps, train.max_steps)

    def position(self, step: int) -> Position:
        """Where in the run a step is, counted from 0."""
        return Position(step, self.order.steps_per_epoch, self.total_steps)

    def micro_batches(self, start: int, stop: int) -> Iterator[MicroBatch]:
        """This rank's micro-batches of steps start … stop - 1, in order."""
        settings = self.experiment.data
        loader = Loader(
            self.data.train,
            self.order,
            self.engine.samples,
            self.experiment.train.accumulate,
            self.augmenter,
            self.data.workers if settings.workers is None else settings.workers,
            settings.prefetch,
            self.world.device,
        )
        return loader.micro_batches(start, stop)

    def masks(self, step: int, batch: MicroBatch) -> dict[str, Tensor]:
        """Dropout masks of a micro-batch, by layer: the parts of the global batch's masks that this rank needs."""
        return {
            shaped.layer.name: self.rng.dropout_mask(
                shaped.layer.name,
                step,
                shaped.layer.rate,
                *self.engine.mask_part(shaped, batch.rows),
                self.world.device,
            )
            for shaped in self.table.shaped_layers
            if isinstance(shaped.layer, Dropout)
        }

    def expected_traffic(self, samples: int) -> dict[str, int]:
        """Bytes that a step with `samples` samples on this rank must send, by collective."""
        if samples not in self._expected:
            self._expected[samples] = self.strategy.traffic(
                self.experiment, self.table, self.world.size, samples, self.world.backend
            )
        return self._expected[samples]


def init_ranks(experiment: Experiment) -> tuple[Experiment, Accelerator, World]:
    """Check an experiment against the launcher and the machine, and initialise torch.distributed. Collective.

    Returns:
        The resolved experiment, the Accelerator and the world.

    Raises:
        UsageError: what cannot work.
    """
    world_size = enter_world(os.environ).world_size
    experiment, options = check_launch(experiment, world_size)
    precision = precision_of(experiment)
    set_switches(precision)
    accelerator, world = init_distributed(options, precision.autocast, world_size)
    precision.check(world.device)
    if experiment.train.compile and (problem := kernel_problem(world.device)):
        raise UsageError("train.compile", "true", f"torch.compile can make no kernels here: {problem}")
    return experiment, accelerator, world


def check_launch(experiment: Experiment, world_size: int) -> tuple[Experiment, AcceleratorOptions]:
    """Check an experiment against its ranks and the launcher's settings; starts nothing.

    Returns:
        The resolved experiment, and its engine's options for the Accelerator.

    Raises:
        UsageError: what cannot work.
    """
    experiment = resolve(experiment, world_size)
    check_experiment(experiment, world_size)
    check_trackers(experiment)
    precision = precision_of(experiment)
    options = engine_of(strategy_of(experiment)).accelerator_options(experiment, world_size)
    refuse_other_engines(os.environ, options.environment, precision.autocast)
    return experiment, options


def engine_of(strategy: Strategy) -> type[Engine]:
    engine: type[Engine] = registry.load(strategy.engine)
    return engine


def build(experiment: Experiment, accelerator: Accelerator, world: World, resumes: bool = False) -> Components:
    """Initialise the net, open the data, place both, and compare the ranks' first samples. Collective.

    Args:
        resumes: a checkpoint will be loaded, so that `net.weights` is not read.

    Raises:
        UsageError: weights or data are missing or damaged on some rank.
    """
    components = assemble(experiment, accelerator, world, Rng(experiment.run.seed), resumes)
    check_samples(world, components.engine.samples, components.micro_batches(0, 1), components.order)
    return components


def assemble(experiment: Experiment, accelerator: Accelerator, world: World, rng: Rng, resumes: bool) -> Components:
    """As `build`, but no rank's samples are compared. Collective."""
    table = table_of(experiment.net)
    dtypes = Dtypes.of(precision_of(experiment))
    net = _initial_net(experiment, table, rng, dtypes, world, resumes)
    data_set = registry.data_sets[experiment.data.name]
    data: Parts = all_or_none(world, lambda: data_set.open(experiment.data, table, rng, world.device))
    augmenter = _augmenter(experiment.data, table.size, dtypes, rng, data, world)
    strategy = strategy_of(experiment)
    engine = engine_of(strategy)(experiment, world, dtypes)
    engine.place(net, partial(make_optimizer, experiment.optim), accelerator)
    limit_waiting(world, engine.groups(), STARTUP_TIMEOUT)
    order = Order(rng, len(data.train), experiment.train.global_batch)
    return Components(experiment, table, strategy, engine, rng, order, data, augmenter, dtypes)


def _augmenter(settings: DataConfig, size: int, dtypes: Dtypes, rng: Rng, data: Parts, world: World) -> Augmenter:
    """What makes a net's input of images, in training and in evaluation. Collective."""
    entry: Augmentation = registry.augmentations[settings.augment]
    subtracts = settings.normalise == "mean_image"
    statistics = mean_image = None
    if subtracts or entry.needs_statistics(settings):
        statistics = all_or_none(world, data.train.statistics)
        mean_image = statistics.mean_image.to(world.device)
    transform = InputTransform.of(settings, size, dtypes.compute, mean_image)
    augmenter: Augmenter = registry.load(entry.augmenter)(settings, transform, rng, statistics)
    return augmenter


def _initial_net(
    experiment: Experiment, table: Table, rng: Rng, dtypes: Dtypes, world: World, resumes: bool
) -> AlexNet:
    """The whole net as training starts with it, on the CPU. Collective."""
    net = AlexNet(table).to(dtypes.parameters)
    initialise(net, rng)
    if experiment.net.weights is not None and not resumes:
        lines = all_or_none(world, lambda: load_initial_weights(net, experiment))
        if world.rank == 0:
            print(*lines, sep="\n", flush=True)
    return net
