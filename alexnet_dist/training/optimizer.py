"""Optimisers and learning rates. A rate is a pure function of the epoch: nothing to store, nothing to step twice."""

from collections.abc import Iterable

import torch
from torch import nn, optim
from torch.optim import Optimizer

from alexnet_dist.config.experiment import OptimConfig

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
        return optim.AdamW(groups, lr=settings.lr, fused=True)
    sgd = optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, fused=True)
    if settings.momentum:
        # Torch's fused step would make them uninitialised, and leave them so where fp16's first step overflows.
        for parameter in members[WEIGHTS] + members[BIASES]:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def learning_rates(settings: OptimConfig, epoch: int) -> dict[str, float]:
    """Learning rate by parameter group in an epoch (counted from 0)."""
    passed = sum(epoch >= milestone for milestone in settings.milestones)
    weights = settings.lr / settings.lr_divisor**passed
    return {WEIGHTS: weights, BIASES: weights if settings.bias_lr is None else settings.bias_lr}
