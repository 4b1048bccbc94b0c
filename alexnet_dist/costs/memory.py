"""What a rank holds of the net: predicted from the layer table, and counted where the tensors are."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from alexnet_dist.config.schema import OptimConfig


@dataclass(frozen=True)
class Memory:
    """Bytes that lie on a rank between backward and update.

    Attributes:
        parameters: the weights that forward computes with.
        gradients: summed ones, and those still to be summed.
        optimizer: its state, and its own copy of the weights where it has one.
    """

    parameters: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer


def state_values(optim: OptimConfig) -> int:
    """Values that the optimiser keeps for each parameter: two moments, or the momentum if there is any."""
    return 2 if optim.name == "adam" else int(optim.momentum > 0)


def optimizer_bytes(optim: OptimConfig, parameters: int) -> int:
    """Bytes of an optimiser's state for so many bytes of parameters."""
    return state_values(optim) * parameters


def held_bytes(tensors: Iterable[object]) -> int:
    """Bytes of the memory behind tensors, shared memory counted once; what is no tensor counts nothing."""
    storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors if isinstance(t, Tensor))}
    return sum(storages.values())
