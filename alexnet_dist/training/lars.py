"""Layer-wise adaptive rate scaling (LARS).

Y. You, I. Gitman and B. Ginsburg, "Large batch training of convolutional networks", 2017, algorithm 1.
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from alexnet_dist.training.optimizers import Groups, SumOverParts


class Lars(Optimizer):
    """v <- momentum v + lr local (gradient + decay w); w <- w - v.

    For weights `local` is trust |w| / (|gradient| + decay |w|), with the norms of the whole layer, whichever ranks hold
    its parts; it is 1 for a layer whose weights or gradient are all zero, and for biases, as in plain momentum.

    Args:
        groups: parameter groups with `weight_decay` and `adapts`, whether `local` is taken.
        lr: of all groups.
        momentum: of v.
        trust: the share of its norm that a layer moves in a step at rate 1.
        sum_over_parts: adds up squared norms over the ranks that hold the other parts of the same parameters.
    """

    def __init__(self, groups: Groups, lr: float, momentum: float, trust: float, sum_over_parts: SumOverParts) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum})
        self._trust, self._sum_over_parts = trust, sum_over_parts

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter; nothing here waits for the device. Collective where several ranks hold parts."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            gradients = [parameter.grad for parameter in parameters]
            rates = self._local_rates(parameters, gradients, group) * group["lr"] if parameters else ()
            for parameter, gradient, rate in zip(parameters, gradients, rates, strict=True):
                velocity = self.state[parameter].get("velocity")
                change = torch.zeros_like(parameter) if velocity is None else velocity.mul_(group["momentum"])
                change.addcmul_(gradient, rate)
                if group["weight_decay"]:
                    change.addcmul_(parameter, rate * group["weight_decay"])
                parameter.sub_(change)

    def _local_rates(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> Tensor:
        """(parameters,), on the device."""
        if not group["adapts"]:
            return gradients[0].new_ones(len(parameters))
        squares = torch.stack([torch.linalg.vector_norm(tensor).square() for tensor in (*parameters, *gradients)])
        weight, gradient = self._sum_over_parts(squares.view(2, -1), parameters).sqrt_()
        rates = self._trust * weight / (gradient + group["weight_decay"] * weight)
        return torch.where((weight > 0) & (gradient > 0), rates, 1.0)
