"""An optimizer from outside the package: gradient descent that keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.registry import optimizers
from alexnet_dist.training.optimizers import Groups, OptimizerKind, SumOverParts

if TYPE_CHECKING:
    from torch.optim import Optimizer


class ToySgd(OptimizerKind):
    name = "toy_sgd"
    unused = ("momentum", "trust")

    def moments(self, settings: OptimConfig) -> tuple[str, ...]:
        return ()

    def make(self, groups: Groups, settings: OptimConfig, sum_over_parts: SumOverParts) -> Optimizer:
        from torch import optim

        return optim.SGD(groups, lr=settings.lr, fused=True)


optimizers.register(ToySgd())
