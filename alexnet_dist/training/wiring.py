"""Puts a run together: net on a strategy on a layout, its batches and its masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from accelerate import Accelerator
from torch import Tensor, nn

from alexnet_dist.config.resolve import table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.data.dataset import DataSet, open_data
from alexnet_dist.data.loader import Loader, MicroBatch
from alexnet_dist.data.order import Order
from alexnet_dist.data.sharding_check import check_samples
from alexnet_dist.distributed.agreement import all_or_none
from alexnet_dist.distributed.mesh import Layout, World
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.nets.table import Dropout, Table
from alexnet_dist.rng import Rng
from alexnet_dist.strategies import STRATEGIES
from alexnet_dist.strategies.base import Dtypes, Strategy
from alexnet_dist.training.optimizer import make_optimizer
from alexnet_dist.training.precision import dtypes_of


@dataclass(frozen=True)
class Components:
    """Everything that the loop works with.

    Attributes:
        net: the placed module, (images, masks) -> logits of this replica.
        data: on this rank's device.
    """

    experiment: Experiment
    table: Table
    strategy: Strategy
    net: nn.Module
    draws: Rng
    order: Order
    data: DataSet
    dtypes: Dtypes

    @property
    def layout(self) -> Layout:
        return self.strategy.layout

    def micro_batches(self, start: int, stop: int) -> Iterator[MicroBatch]:
        """This rank's micro-batches of steps start … stop - 1, in order."""
        train, data = self.experiment.train, self.experiment.data
        loader = Loader(
            self.data.train,
            self.order,
            self.layout,
            train.accumulate,
            self.table.size,
            self.dtypes.compute,
            data.workers,
        )
        return loader.micro_batches(start, stop)

    def masks(self, step: int, batch: MicroBatch) -> dict[str, Tensor]:
        """Dropout masks of a micro-batch, by layer: own rows of the global batch, own units of the layer."""
        count = self.order.count(step)
        return {
            site.layer.name: self.draws.dropout_mask(
                site.layer.name,
                step,
                site.layer.rate,
                count,
                site.outputs[0],
                batch.rows.slice(),
                self.layout.part(site.outputs[0]),
                self.layout.world.device,
            )
            for site in self.table.shaped_layers()
            if isinstance(site.layer, Dropout)
        }


def check(experiment: Experiment, world_size: int) -> None:
    """Refuse what cannot work, before anything is started.

    Raises:
        UsageError: with field, value and remedy.
    """
    table = table_of(experiment.net)
    kind = STRATEGIES[experiment.strategy.name]
    kind.check(experiment, table, world_size)
    train = experiment.train
    replicas = world_size // kind.split_size
    if train.global_batch % (replicas * train.accumulate):
        raise UsageError(
            "train.global_batch",
            train.global_batch,
            f"does not divide into {replicas} replicas x "
            f"{train.accumulate} micro-steps: choose a multiple of {replicas * train.accumulate}",
        )


def build(experiment: Experiment, accelerator: Accelerator, world: World) -> Components:
    """Read the data, draw the net and place it. Collective.

    Raises:
        UsageError: data is missing or damaged on some rank.
    """
    draws, table = Rng(experiment.run.seed), table_of(experiment.net)
    dtypes = dtypes_of(experiment.train.precision)
    data = all_or_none(world, lambda: open_data(experiment.data, table, draws))
    strategy = STRATEGIES[experiment.strategy.name](experiment, world, dtypes)
    net = AlexNet(table).to(dtypes.parameters)
    initialise(net, draws)
    placed = strategy.place(net, partial(make_optimizer, experiment.optim), accelerator)
    test = data.test.first(experiment.train.evaluate_samples)
    data = DataSet(data.train.to(world.device), test.to(world.device))
    order = Order(draws, len(data.train), experiment.train.global_batch)
    components = Components(experiment, table, strategy, placed, draws, order, data, dtypes)
    check_samples(strategy.layout, components.micro_batches(0, 1), order.count(0))
    return components
