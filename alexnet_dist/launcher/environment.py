"""What the launcher's environment variables say, checked before anything heavy is imported.

Accelerate silently takes settings from the user's own config file, and may start one process instead of several.
"""

from collections.abc import Collection, Mapping

from alexnet_dist.errors import UsageError

_ENGINES = (
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG",
)
_SOURCE = "a flag of accelerate launch or your own `accelerate config` file says so: "


def launcher_world_size(environment: Mapping[str, str]) -> int:
    """The world size that the launcher set; 1 without a launcher.

    Raises:
        UsageError: it was asked for several ranks and started processes that know nothing of each other.
    """
    if "RANK" not in environment and "MASTER_ADDR" in environment:
        raise UsageError(
            "accelerate launch",
            "MASTER_ADDR without RANK",
            "with --cpu only one process comes up, whatever "
            "--num_processes says: use --multi_gpu --num_processes N, also without a GPU",
        )
    return int(environment.get("WORLD_SIZE", "1"))


def replica_warnings(environment: Mapping[str, str], split_size: int) -> list[str]:
    """A line where replicas span two machines: their towers then exchange over the network.

    Args:
        split_size: ranks that share one replica.
    """
    local, world = (int(environment.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if local == world or local % split_size == 0:
        return []
    return [f"{local} ranks on this machine: the {split_size} of a replica lie on two, and exchange over the network"]


def refuse_other_engines(environment: Mapping[str, str], engines: Collection[str], mixed_precision: str) -> None:
    """Refuse a launcher that asks Accelerate for another engine or precision than the experiment.

    Args:
        engines: variables that the experiment's strategy wants to be true.
        mixed_precision: Accelerate's name for the experiment's precision.

    Raises:
        UsageError: with the remedy.
    """
    for name in _ENGINES:
        if environment.get(name, "false").lower() in ("true", "1") and name not in engines:
            engine = name.removeprefix("ACCELERATE_USE_").lower()
            raise UsageError(
                "accelerate launch",
                f"{name}=true",
                f"{_SOURCE}this experiment does not run on Accelerate's {engine}; "
                "launch with --config_file configs/accelerate/plain.yaml",
            )
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if precision not in ("no", mixed_precision):
        raise UsageError(
            "accelerate launch",
            f"mixed_precision {precision}",
            f"{_SOURCE}precision is set by --train.precision; launch with --mixed_precision no",
        )
    dynamo = environment.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()
    if dynamo != "no":
        raise UsageError("accelerate launch", f"dynamo_backend {dynamo}", f"{_SOURCE}launch with --dynamo_backend no")
