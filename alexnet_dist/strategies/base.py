"""What is known about a strategy before anything starts: facts, checks, costs."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

from alexnet_dist import registry
from alexnet_dist.config.precisions import BYTES, precision_of
from alexnet_dist.config.schema import Experiment, StrategyConfig
from alexnet_dist.costs.memory import Memory
from alexnet_dist.nets.table import Table

WIRE_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}  # values of strategy.gradient_dtype, and torch's names


class Strategy(ABC):
    """One value of `strategy.name`. It holds no state: everything follows from the arguments.

    Attributes:
        name: in settings.
        splits, moves, needs, right_where: what a user wants to know before choosing, in a few words; with N ranks and W
            bytes of weights.
        engine: dotted path of the `Engine` that runs it.
        split_size: ranks that share the samples of one replica.
        used: fields of `strategy` that have an effect.
    """

    name: ClassVar[str]
    splits: ClassVar[str]
    moves: ClassVar[str]
    needs: ClassVar[str]
    right_where: ClassVar[str]
    engine: ClassVar[str]
    split_size: ClassVar[int] = 1
    used: ClassVar[Collection[str]] = ()

    @abstractmethod
    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: with the remedy.
        """

    def warnings(self, experiment: Experiment, world_size: int) -> list[str]:
        """What a user should know, one line each; by default, the fields of `strategy` without effect."""
        settings, defaults = experiment.strategy, StrategyConfig()
        return [
            f"strategy.{field}: {getattr(settings, field)} has no effect under strategy.name {settings.name}"
            for field in StrategyConfig.model_fields
            if field not in ("name", *self.used) and getattr(settings, field) != getattr(defaults, field)
        ]

    def placement_warnings(self, experiment: Experiment, world_size: int, local_world_size: int) -> list[str]:
        """Warnings about the placement of ranks on machines, one line each.

        Args:
            local_world_size: ranks on this machine.
        """
        if local_world_size < world_size and local_world_size % self.split_size:
            return [
                f"{local_world_size} ranks on this machine: the {self.split_size} of a replica are on two machines and "
                "exchange over the network"
            ]
        return []

    @abstractmethod
    def traffic(
        self, experiment: Experiment, table: Table, world_size: int, samples: int, backend: str
    ) -> dict[str, int]:
        """Bytes that a step must send per rank, by collective.

        Args:
            table: of the whole net.
            samples: of this rank's shard in the step.
            backend: "gloo" or "nccl".
        """

    @abstractmethod
    def memory(self, experiment: Experiment, table: Table, world_size: int) -> Memory:
        """What the fullest rank must hold between backward and update."""

    def mesh(self, world_size: int) -> Mapping[str, int]:
        """Ranks by mesh axis: replicas, and ranks that share a replica's samples."""
        return {"dp": world_size // self.split_size, "split": self.split_size}

    def sample_shards(self, world_size: int) -> int:
        """Disjoint parts that each global batch is cut into."""
        return world_size // self.split_size


def strategy_of(experiment: Experiment) -> Strategy:
    """The strategy of a resolved experiment."""
    strategy: Strategy = registry.strategies[experiment.strategy.name]
    return strategy


def wire_dtype(experiment: Experiment) -> str:
    """Name in torch of the dtype in which gradients are sent; by default, that of the parameters."""
    chosen = experiment.strategy.gradient_dtype
    return precision_of(experiment).parameters if chosen is None else WIRE_DTYPES[chosen]


def wire_bytes(experiment: Experiment) -> int:
    """Bytes of a gradient value while it travels."""
    return BYTES[wire_dtype(experiment)]


def norm_bytes(experiment: Experiment, table: Table) -> int:
    """Bytes of the norms that ranks with parts of one net add up in a step.

    They are the gradient's, for clipping and, in fp16, to see whether the step overflowed; and those of each layer's
    weights and gradient, where the optimizer needs them.
    """
    precision = precision_of(experiment)
    values = int(experiment.train.clip_norm is not None or precision.compute == "float16")
    if registry.optimizers[experiment.optim.name].layer_norms:
        values += 2 * sum(bool(shaped.weight) for shaped in table.shaped_layers)
    return values * precision.parameter_bytes
