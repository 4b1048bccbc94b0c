"""Optimisers and learning rates. A rate is a pure function of the epoch: nothing to store, nothing to step twice."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn, optim
from torch.optim import Optimizer

from alexnet_dist.config.schema import OptimConfig

WEIGHTS, BIASES = "weights", "biases"


def make_optimizer(settings: OptimConfig, named: Iterable[tuple[str, nn.Parameter]]) -> Optimizer:
    """A fused optimiser with two parameter groups, named "weights" (which decay) and "biases" (which do not).

    SGD is torch's: v <- momentum v + (grad + decay w); w <- w - lr v. The code of 2012 has the rate inside v, which
    is the same while the rate is constant and forgets an old rate more slowly when it changes.

    Args:
        named: parameters under their one-device names, `conv1.weight`, `conv1.bias`, ….
    """
    members: dict[str, list[nn.Parameter]] = {WEIGHTS: [], BIASES: []}
    for name, parameter in named:
        members[BIASES if name.endswith(".bias") else WEIGHTS].append(parameter)
    groups = [
        {"name": WEIGHTS, "params": members[WEIGHTS], "weight_decay": settings.weight_decay},
        {"name": BIASES, "params": members[BIASES], "weight_decay": 0.0},
    ]
    if settings.name == "adam":
        # AdamW's decay is the one that does not go through the moments; without decay it is Adam.
        return _filled(optim.AdamW(groups, lr=settings.lr, fused=True), ["exp_avg", "exp_avg_sq"], steps=True)
    sgd = optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)
    return _filled(sgd, ["momentum_buffer"] if settings.momentum else [], steps=False)


def _filled(optimizer: Optimizer, kinds: Sequence[str], steps: bool) -> Optimizer:
    """With the state that torch would make in the first step: a checkpoint is read into it, and fp16's first step,
    which may overflow, would leave momentum uninitialised."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for kind in kinds:
                optimizer.state[parameter][kind] = torch.zeros_like(parameter)
            if steps:
                optimizer.state[parameter]["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return optimizer


def learning_rates(settings: OptimConfig, epoch: int) -> dict[str, float]:
    """Learning rate by parameter group in an epoch (counted from 0)."""
    passed = sum(epoch >= milestone for milestone in settings.milestones)
    weights = settings.lr / settings.lr_divisor**passed
    return {WEIGHTS: weights, BIASES: weights if settings.bias_lr is None else settings.bias_lr}
