"""What the loop asks of a strategy."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory
from alexnet_dist.distributed.mesh import Layout, World
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Table

MakeOptimizer = Callable[[Iterable[tuple[str, nn.Parameter]]], Optimizer]

# How the entries of a strategy's state are called: WEIGHT + "conv1.weight", OPTIMIZER + "exp_avg.conv1.weight".
WEIGHT, OPTIMIZER = "weight.", "optimizer."
STEPS = OPTIMIZER + "step"


@dataclass(frozen=True)
class AcceleratorOptions:
    """What must be known before there is an Accelerator.

    Attributes:
        accelerator: keyword arguments of `accelerate.Accelerator`, which win over the program's own (DeepSpeed on a
            CPU, for one, must not be told `cpu=True`).
        environment: variables that the launcher may have set to "true", such as ACCELERATE_USE_DEEPSPEED;
            any other engine that a user's own Accelerate config asks for is refused.
    """

    accelerator: Mapping[str, Any] = field(default_factory=dict)
    environment: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Dtypes:
    """Attributes:
    parameters: of weights, gradients and optimiser state.
    compute: of activations, and so of what crosses between towers.
    """

    parameters: torch.dtype
    compute: torch.dtype


@dataclass(frozen=True)
class StepResult:
    """Attributes:
    norm: the gradient's norm over all ranks before clipping, a scalar on the device; None where nobody asked.
    skipped: 1.0 where the step overflowed and changed nothing, else 0.0; None where that cannot be.
    """

    norm: Tensor | None
    skipped: Tensor | None


@dataclass(frozen=True)
class About:
    """What a user wants to know before choosing, each in a few words; `moves` with N ranks and W bytes of weights."""

    splits: str
    moves: str
    needs: str
    right_where: str


class Strategy(ABC):
    """Owns how the net lies on the layout, and every collective that this needs.

    A step is: for each micro-step, `with micro_batch_context(last): backward(loss)`; then `apply`.
    """

    name: ClassVar[str]
    about: ClassVar[About]
    split_size: ClassVar[int]  # ranks that share one replica's samples
    layout: Layout

    @classmethod
    @abstractmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        """Refuse what cannot work.

        Raises:
            UsageError: with the remedy.
        """

    @classmethod
    @abstractmethod
    def warnings(cls, experiment: Experiment, world_size: int) -> list[str]:
        """Settings without effect under this strategy, one line each."""

    @classmethod
    @abstractmethod
    def accelerator_options(cls, experiment: Experiment, world_size: int) -> AcceleratorOptions:
        """What the Accelerator and the launcher must be told before they start.

        Raises:
            UsageError: the launcher was told otherwise.
        """

    @abstractmethod
    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        """Arrange the ranks. Collective."""

    @abstractmethod
    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> nn.Module:
        """Put a whole, initialised net on the layout, with its optimiser. Collective.

        Args:
            net: on the CPU, in the parameters' dtype; changed in place.
            make_optimizer: makes an optimiser of parameters under their one-device names.

        Returns:
            The module to call: (images, masks) -> logits of this replica's images, on every rank of it.
        """

    @abstractmethod
    def micro_batch_context(self, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward of a micro-step; replicas need to talk in the last one only."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-step's loss: a sum over own samples, over the global batch's count."""

    @abstractmethod
    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        """Clip by the norm over all ranks, update the weights, forget the gradients.

        Args:
            rates: learning rate by parameter group.
            max_norm: None does not clip.
        """

    @abstractmethod
    def gradients(self) -> dict[str, Tensor]:
        """Whole gradients under one-device names, between the last `backward` and `apply`. Collective."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Whole weights under one-device names. Collective."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that training needs to go on, for `torch.distributed.checkpoint`. Collective.

        Returns:
            Under names that are the same for every strategy: weights as `weight.conv1.weight`; optimiser state of a
            parameter's shape as `optimizer.exp_avg.conv1.weight`; `optimizer.step`, how often the optimiser has
            stepped, fp32 (1,). What lies in parts on several ranks is a DTensor of the one-device tensor, what every
            rank holds whole is a plain tensor. They may be the live tensors.
        """

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up training where a state was taken. Collective.

        Args:
            state: what `state` returned, with other values in it.
        """

    @abstractmethod
    def expected_traffic(self, table: Table, samples: int, clips: bool) -> dict[str, int]:
        """Bytes that a step must send per rank, by collective, from the layer table.

        Args:
            table: of the whole net.
            samples: of this replica in the step.
            clips: whether the gradient's norm is taken.
        """

    @classmethod
    @abstractmethod
    def expected_memory(cls, experiment: Experiment, table: Table, world_size: int, dtypes: Dtypes) -> Memory:
        """Bytes that the fullest rank must hold between backward and update, from the layer table.

        Args:
            table: of the whole net.
        """

    @abstractmethod
    def held_memory(self) -> Memory:
        """Bytes that this rank holds just now, counted where the tensors are."""
