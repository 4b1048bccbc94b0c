"""DeepSpeed's config: what the experiment decides, what we set for it, and what a user's own file or flags may add.

Whatever both name has one owner, the experiment. Another value elsewhere is refused, never silently overridden.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError

FILE = "ACCELERATE_DEEPSPEED_CONFIG_FILE"
# How `accelerate launch` hands on its DeepSpeed flags, and those of an `accelerate config` file.
_FLAGS = {
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": "zero_optimization.stage",
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "zero_optimization.offload_optimizer.device",
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "zero_optimization.offload_param.device",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "gradient_accumulation_steps",
    "ACCELERATE_GRADIENT_CLIPPING": "gradient_clipping",
}
# What we set where a user's file says nothing. By default DeepSpeed takes 2 GB for a bucket, in stage 3 keeps a net of
# this size whole after all, and waits for the device twice in each micro-batch to time it.
_OURS: dict[str, Any] = {
    "zero_optimization.reduce_bucket_size": 4_194_304,
    "zero_optimization.use_multi_rank_bucket_allreduce": False,
    "zero_optimization.overlap_comm": True,
    "zero_optimization.stage3_max_reuse_distance": 0,
    "zero_optimization.stage3_param_persistence_threshold": 0,
    # The optimizer is the experiment's, on a GPU as on the host: DeepSpeed's own would have to be compiled.
    "zero_allow_untested_optimizer": True,
    "zero_force_ds_cpu_optimizer": False,
    "timers.throughput.enabled": False,
    "timers.throughput.synchronized": False,
}
# Ranks up to which stages 1 and 2 sum each owner's part separately. With more of them, so many small sums take longer
# than one over all ranks, which moves half as much again.
MOST_OWNERS = 32
_NO_LIMIT = 1_000_000_000_000


def reduces_to_owners(world_size: int) -> bool:
    """Whether stages 1 and 2 send each part of the gradients only to its owner, or sum all of them on every rank."""
    return world_size <= MOST_OWNERS


@dataclass(frozen=True)
class Owned:
    """A value that the experiment decides, and the field that does."""

    value: Any
    field: str


def owned(experiment: Experiment, stage: int, world_size: int) -> dict[str, Owned]:
    """What DeepSpeed's config must say, by dotted key."""
    train, strategy = experiment.train, experiment.strategy
    micro = train.global_batch // (train.accumulate * world_size)
    wire = Owned(strategy.gradient_dtype or "fp32", "strategy.gradient_dtype")
    # DeepSpeed does not fetch weights again that it had fetched before their turn: either nothing is fetched ahead, and
    # each layer's weights are freed after it, or everything is, and weights stay for backward.
    ahead = Owned(0 if strategy.reshard_after_forward else _NO_LIMIT, "strategy.reshard_after_forward")
    fetched = ("stage3_max_live_parameters", "stage3_prefetch_bucket_size") if stage == 3 else ()
    precision = Owned(False, f"train.precision {train.precision}, by autocast: weights stay fp32")
    return {
        "train_batch_size": Owned(train.global_batch, "train.global_batch"),
        "train_micro_batch_size_per_gpu": Owned(micro, "train.global_batch, train.accumulate and the number of ranks"),
        "gradient_accumulation_steps": Owned(train.accumulate, "train.accumulate"),
        "gradient_clipping": Owned(train.clip_norm or 0.0, "train.clip_norm"),
        "communication_data_type": wire,
        "fp16.enabled": precision,
        "bf16.enabled": precision,
        "torch_autocast.enabled": precision,
        "zero_optimization.stage": Owned(stage, f"strategy.name {strategy.name}"),
        "zero_optimization.offload_optimizer.device": Owned(
            "cpu" if strategy.offload_optimizer else "none", "strategy.offload_optimizer"
        ),
        "zero_optimization.offload_param.device": Owned("none", f"strategy.name {strategy.name}"),
        **{f"zero_optimization.{name}": ahead for name in fetched},
    }


def engine_config(
    experiment: Experiment, stage: int, world_size: int, environment: Mapping[str, str]
) -> dict[str, Any]:
    """DeepSpeed's whole config.

    Args:
        environment: where the launcher left its flags and the name of a user's own DeepSpeed config file.

    Raises:
        UsageError: a flag or the file contradicts the experiment, or cannot be read.
    """
    ours = owned(experiment, stage, world_size)
    for variable, key in _FLAGS.items():
        if variable in environment:
            _agree(f"accelerate launch: {variable}", _plain(environment[variable]), ours[key])
    path = environment.get(FILE, "none")
    given = dict(_flat(_read(path))) if path != "none" else {}
    for key, value in given.items():
        if key in ours:
            _agree(f"{path}: {key}", value, ours[key])
        elif key.split(".")[0] in ("optimizer", "scheduler"):
            raise UsageError(
                f"{path}: {key}", value, "optimizer and learning rate are the experiment's (optim.*): remove it"
            )
    sums = {"zero_optimization.reduce_scatter": stage == 3 or reduces_to_owners(world_size)}
    flat = {**_OURS, **sums, **{key: value for key, value in given.items() if value != "auto"}}
    return _nested({**flat, **{key: own.value for key, own in ours.items()}})


def _agree(where: str, value: Any, ours: Owned) -> None:
    if value not in ("auto", ours.value):
        raise UsageError(where, value, f"this experiment says {ours.value} ({ours.field}): change one of the two")


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(path: str) -> dict[str, Any]:
    try:
        config = json.loads(Path(path).read_text())
    except OSError as error:
        raise UsageError("DeepSpeed config", path, error.strerror or "cannot be read") from None
    except ValueError as error:
        raise UsageError("DeepSpeed config", path, f"is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError("DeepSpeed config", path, "must be an object of settings")
    return config


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for path, value in flat.items():
        *groups, key = path.split(".")
        place = config
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    return config
