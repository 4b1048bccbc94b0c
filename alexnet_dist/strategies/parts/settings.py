"""What strategies ask of settings alike."""

from collections.abc import Collection

import torch

from alexnet_dist.config.schema import Experiment, StrategyConfig
from alexnet_dist.errors import UsageError

WIRE = {"fp32": torch.float32, "bf16": torch.bfloat16}


def without_effect(experiment: Experiment, heeded: Collection[str]) -> list[str]:
    """A line for each strategy setting that the user changed and that the strategy does not look at."""
    settings, defaults = experiment.strategy, StrategyConfig()
    return [
        f"strategy.{field}: {getattr(settings, field)} has no effect under strategy.name {settings.name}"
        for field in StrategyConfig.model_fields
        if field not in ("name", *heeded) and getattr(settings, field) != getattr(defaults, field)
    ]


def needs_several_ranks(name: str, world_size: int) -> None:
    """Refuse one rank where there is nothing to share.

    Raises:
        UsageError: with the launch line to use.
    """
    if world_size < 2:
        raise UsageError(
            "strategy.name",
            name,
            "needs two ranks or more, one was launched: "
            "accelerate launch --multi_gpu --num_processes 2, or strategy.name single",
        )


def check_engine(experiment: Experiment, world_size: int) -> None:
    """Refuse what no engine can whose parts of the net must travel.

    Raises:
        UsageError: with what can.
    """
    name = experiment.strategy.name
    needs_several_ranks(name, world_size)
    if not experiment.strategy.communicate:
        raise UsageError("strategy.communicate", "false", f"{name} cannot compute without sending; ddp and split can")
    if experiment.train.precision == "fp16":
        raise UsageError(
            "train.precision", "fp16", f"{name} has no loss scale here: use bf16, or fp16 with ddp or split"
        )
