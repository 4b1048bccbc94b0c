"""The optimizers of `optim.name`: what each keeps for a parameter, and how it is made.

Every optimizer has two parameter groups, "weights" (which decay) and "biases" (which do not). Its state is
made at once, not in the first step: a checkpoint is read into it, and a first step that fp16 skips would leave momentum
uninitialised.

torch is imported only when an optimizer is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

from alexnet_dist import registry
from alexnet_dist.config.schema import OptimConfig

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

WEIGHTS, BIASES = "weights", "biases"
Groups = list[dict[str, Any]]
# Adds up squared norms, (…, parameters), of the parameters given, over the ranks that hold their other parts.
SumOverParts = Callable[["Tensor", Sequence["Tensor"]], "Tensor"]


class OptimizerKind(ABC):
    """One value of `optim.name`.

    Attributes:
        name: in settings.
        unused: fields of `optim` that have no effect.
        counts_steps: whether torch keeps a step count for each parameter.
        layer_norms: whether an update needs the norms of each layer's whole weights and gradient, which ranks that hold
            parts of a layer must add up.
    """

    name: ClassVar[str]
    counts_steps: ClassVar[bool] = False
    layer_norms: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def moments(self, settings: OptimConfig) -> tuple[str, ...]:
        """Names of the tensors, of the parameter's own shape and dtype, that are kept for each parameter."""

    @abstractmethod
    def make(self, groups: Groups, settings: OptimConfig, sum_over_parts: SumOverParts) -> Optimizer:
        """The torch optimizer of parameter groups, its state still empty."""


@final
class Sgd(OptimizerKind):
    """v <- momentum v + (gradient + decay w); w <- w - lr v.

    The code of 2012 has the rate inside v, which is the same while the rate is constant; when it changes, that code
    forgets the old rate more slowly.
    """

    name = "sgd"
    unused = ("trust",)

    def moments(self, settings: OptimConfig) -> tuple[str, ...]:
        return ("momentum_buffer",) if settings.momentum else ()

    def make(self, groups: Groups, settings: OptimConfig, sum_over_parts: SumOverParts) -> Optimizer:
        from torch import optim

        return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)


@final
class Adam(OptimizerKind):
    """AdamW, whose decay does not pass through the moments; without decay it is Adam."""

    name = "adam"
    counts_steps = True
    unused = ("momentum", "trust")

    def moments(self, settings: OptimConfig) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq"

    def make(self, groups: Groups, settings: OptimConfig, sum_over_parts: SumOverParts) -> Optimizer:
        from torch import optim

        return optim.AdamW(groups, lr=settings.lr, fused=True)


@final
class Lars(OptimizerKind):
    """Momentum with a rate of its own for each layer, for large batches; see `training.lars`."""

    name = "lars"
    layer_norms = True

    def moments(self, settings: OptimConfig) -> tuple[str, ...]:
        return ("velocity",) if settings.momentum else ()

    def make(self, groups: Groups, settings: OptimConfig, sum_over_parts: SumOverParts) -> Optimizer:
        from alexnet_dist.training import lars

        adapting: Groups = [{**group, "adapts": group["name"] == WEIGHTS} for group in groups]
        return lars.Lars(adapting, settings.lr, settings.momentum, settings.trust, sum_over_parts)


for _kind in (Sgd(), Adam(), Lars()):
    registry.optimizers.register(_kind)


def make_optimizer(
    settings: OptimConfig,
    named: Iterable[tuple[str, nn.Parameter]],
    sum_over_parts: SumOverParts = lambda squares, parameters: squares,
) -> Optimizer:
    """The optimizer that an experiment asks for, with its state.

    Args:
        named: parameters under their one-device names, `conv1.weight`, `conv1.bias`, ….
        sum_over_parts: where other ranks hold other parts of the same parameters.
    """
    import torch

    members: dict[str, list[nn.Parameter]] = {WEIGHTS: [], BIASES: []}
    for name, parameter in named:
        members[BIASES if name.endswith(".bias") else WEIGHTS].append(parameter)
    groups: Groups = [
        {"name": WEIGHTS, "params": members[WEIGHTS], "weight_decay": settings.weight_decay},
        {"name": BIASES, "params": members[BIASES], "weight_decay": 0.0},
    ]
    kind: OptimizerKind = registry.optimizers[settings.name]
    optimizer, moments = kind.make(groups, settings, sum_over_parts), kind.moments(settings)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for moment in moments:
                optimizer.state[parameter][moment] = torch.zeros_like(parameter)
            if kind.counts_steps:
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                optimizer.state[parameter]["step"] = step
    return optimizer
