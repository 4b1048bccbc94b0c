"""Checks of an experiment for a number of ranks, before anything is started."""

from alexnet_dist import registry
from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.resolve import table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.units import counted
from alexnet_dist.errors import UsageError
from alexnet_dist.strategies.base import strategy_of


def check_experiment(experiment: Experiment, world_size: int) -> None:
    """Refuse an experiment that cannot work with that many ranks, before anything is started.

    Args:
        experiment: resolved.

    Raises:
        UsageError: with field, value and remedy.
    """
    strategy_of(experiment).check(experiment, table_of(experiment.net), world_size)
    if registry.optimizers[experiment.optim.name].layer_norms and precision_of(experiment).compute == "float16":
        remedy = f"optim.name {experiment.optim.name} does not support loss scaling: use bf16, or another optimizer"
        raise UsageError("train.precision", experiment.train.precision, remedy)
    check_batch(experiment, world_size)


def check_batch(experiment: Experiment, world_size: int) -> None:
    """Refuse a global batch that ranks cannot share evenly.

    Raises:
        UsageError: with what the batch must be a multiple of.
    """
    train, shards = experiment.train, strategy_of(experiment).sample_shards(world_size)
    if train.global_batch % (shards * train.accumulate):
        raise UsageError(
            "train.global_batch",
            train.global_batch,
            f"does not divide into {counted(shards, 'replica')} x {counted(train.accumulate, 'micro-batch', 'es')}: "
            f"choose a multiple of {shards * train.accumulate}",
        )


def refuse_one_rank(name: str, world_size: int) -> None:
    """Refuse a single rank.

    Raises:
        UsageError: there is one rank, and so nothing to share.
    """
    if world_size < 2:
        raise UsageError(
            "strategy.name",
            name,
            "needs two ranks or more, one was launched: "
            "accelerate launch --multi_gpu --num_processes 2, or strategy.name single",
        )


def refuse_compile(experiment: Experiment, reason: str) -> None:
    """Refuse `train.compile`.

    Args:
        reason: why the strategy cannot be compiled; continues a sentence that begins with its name.

    Raises:
        UsageError: the net is to be compiled.
    """
    if experiment.train.compile:
        raise UsageError(
            "train.compile", "true", f"{experiment.strategy.name} {reason}; single and ddp can be compiled"
        )


def check_sharded(experiment: Experiment, world_size: int) -> None:
    """Refuse what no sharded strategy (fsdp, zero) supports.

    Raises:
        UsageError: with the remedy.
    """
    name = experiment.strategy.name
    refuse_one_rank(name, world_size)
    refuse_compile(experiment, "hooks its collectives into layers, where torch.compile cannot follow")
    if not experiment.strategy.communicate:
        raise UsageError("strategy.communicate", "false", f"{name} cannot compute without sending; ddp and split can")
    if precision_of(experiment).compute == "float16":
        remedy = f"{name} has no loss scale here: use bf16, or fp16 with ddp or split"
        raise UsageError("train.precision", experiment.train.precision, remedy)
