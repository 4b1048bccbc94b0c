"""What the training loop asks of a strategy that runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.optim import Optimizer

from alexnet_dist.config.precisions import Precision
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.bring_up import AcceleratorOptions
from alexnet_dist.distributed.mesh import SampleShard, World
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import ShapedLayer

# Makes an optimizer of named parameters; the second argument adds up squared norms, (…, parameters), of the parameters
# that it is given, over the ranks that hold their other parts.
MakeOptimizer = Callable[[Iterable[tuple[str, nn.Parameter]], Callable[[Tensor, Sequence[Tensor]], Tensor]], Optimizer]
Masks = Mapping[str, Tensor]  # dropout masks by layer

# Names in a strategy's state: WEIGHT + "conv1.weight", OPTIMIZER + "exp_avg.conv1.weight".
WEIGHT, OPTIMIZER = "weight.", "optimizer."
STEPS = OPTIMIZER + "step"


@dataclass(frozen=True)
class Dtypes:
    """A run's dtypes.

    Attributes:
        parameters: of weights, gradients and optimizer state.
        compute: of activations, and so of what crosses between towers.
    """

    parameters: torch.dtype
    compute: torch.dtype

    @classmethod
    def of(cls, precision: Precision) -> "Dtypes":
        return cls(getattr(torch, precision.parameters), getattr(torch, precision.compute))


def held_bytes(tensors: Iterable[object]) -> int:
    """Bytes of the storage of tensors, shared storage counted once; other objects are not counted."""
    storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors if isinstance(t, Tensor))}
    return sum(storages.values())


@dataclass(frozen=True)
class StepSums:
    """Sums over the samples that a rank computed in a step, scalars on its device.

    Attributes:
        loss: cross-entropy.
        correct: samples whose class was predicted first.
    """

    loss: Tensor
    correct: Tensor


@dataclass(frozen=True)
class StepResult:
    """What the update of a step tells.

    Attributes:
        norm: the gradient's norm over all ranks before clipping, a scalar on the device; None where it was not taken.
        skipped: 1.0 where the step overflowed and changed nothing, else 0.0; None where that cannot happen.
    """

    norm: Tensor | None
    skipped: Tensor | None


class Engine(ABC):
    """Runs one strategy: holds this rank's part of the net and owns every collective that training it needs.

    A step is `forward_backward`, then `apply`.

    Attributes:
        world: the ranks.
        samples: which samples this rank works on.
    """

    world: World
    samples: SampleShard

    @classmethod
    def accelerator_options(cls, experiment: Experiment, world_size: int) -> AcceleratorOptions:
        """What must be set before the Accelerator is made; by default nothing.

        Raises:
            UsageError: the launcher's settings contradict it.
        """
        return AcceleratorOptions()

    @abstractmethod
    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        """Arrange the ranks. Collective."""

    @abstractmethod
    def groups(self) -> list[ProcessGroup]:
        """Every process group that the engine communicates over, so that each gets the run's time limit."""

    def mask_part(self, dropout: ShapedLayer, rows: range) -> tuple[slice, slice]:
        """The part of a dropout mask that a micro-batch needs on this rank; by default all units of its samples.

        Args:
            dropout: the layer.
            rows: the micro-batch's positions in the global batch.

        Returns:
            Rows (of the global batch) and columns (units over all towers).
        """
        return slice(rows.start, rows.stop), slice(0, dropout.outputs[0])

    @abstractmethod
    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> None:
        """Put a whole, initialised net on the ranks, with its optimizer. Collective.

        Args:
            net: on the CPU, in the parameters' dtype; changed in place.
            make_optimizer: makes an optimizer of parameters under their one-device names.
        """

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of this shard's images, without dropout, on every rank of the shard. Collective."""

    @abstractmethod
    def forward_backward(self, batches: Iterable[tuple[MicroBatch, Masks]], count: int) -> StepSums:
        """Forward and backward of a whole step; leaves the gradients of the global batch's mean loss. Collective.

        Args:
            batches: all micro-batches of the step on this rank, with their masks; each is loaded when it is taken.
            count: samples of the step over all ranks, which the loss is divided by.

        Returns:
            Over this shard's samples.
        """

    @abstractmethod
    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        """Clip by the norm over all ranks, update the weights, clear the gradients. Collective.

        Args:
            rates: learning rate by parameter group.
            max_norm: None does not clip.
        """

    @abstractmethod
    def gradients(self) -> dict[str, Tensor]:
        """Whole gradients under one-device names, between `forward_backward` and `apply`. Collective."""

    @abstractmethod
    def weights(self, *names: str) -> dict[str, Tensor]:
        """Whole weights under one-device names: those that are named, else all. Collective."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that training needs to continue, for `torch.distributed.checkpoint`. Collective.

        Returns:
            Under names that are the same for every strategy: weights as `weight.conv1.weight`; optimizer state of a
            parameter's shape as `optimizer.exp_avg.conv1.weight`; `optimizer.step`, how often the optimizer has
            stepped, fp32 (1,). What is spread over ranks is a DTensor of the one-device tensor, what every rank holds
            whole is a plain tensor. They may be the live tensors.
        """

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state. Collective.

        Args:
            state: what `state` returned, with other values in it.
        """

    @abstractmethod
    def held_memory(self) -> Memory:
        """What this rank holds at this moment, counted from its tensors (`held_bytes`)."""
