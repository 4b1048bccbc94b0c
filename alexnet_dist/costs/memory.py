"""Bytes of weights, gradients and optimizer state on a rank, predicted from the layer table."""

from dataclasses import dataclass

from alexnet_dist import registry
from alexnet_dist.config.schema import OptimConfig


@dataclass(frozen=True)
class Memory:
    """Bytes on a rank between backward and update.

    Attributes:
        parameters: the weights that forward computes with.
        gradients: those already summed over ranks, and those still to be summed.
        optimizer: its state, and its own copy of the weights where it has one.
    """

    parameters: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer


def state_values(optim: OptimConfig) -> int:
    """Values that the optimizer keeps for each value of a parameter."""
    return len(registry.optimizers[optim.name].moments(optim))


def even_memory(optim: OptimConfig, parameter_bytes: int) -> Memory:
    """With gradients and optimizer state distributed as the parameters are."""
    return Memory(parameter_bytes, parameter_bytes, state_values(optim) * parameter_bytes)
