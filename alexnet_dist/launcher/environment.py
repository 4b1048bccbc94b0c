"""What the launcher said, held against what the experiment wants, before anything heavy is imported.

Accelerate takes settings from a user's own config file without a word, and starts one process where it promised two;
each such case is caught here and in `start.py`.
"""

from collections.abc import Collection, Mapping

from alexnet_dist.errors import UsageError

_ENGINES = (
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG",
)
_OWN_CONFIG = "a flag of accelerate launch or your own `accelerate config` file says so: "


def promised_world(environment: Mapping[str, str]) -> int:
    """How many ranks the launcher said there would be.

    Raises:
        UsageError: it said that there are several, but started processes that know nothing of each other.
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
    """A line where replicas lie on two machines: what crosses between their ranks crosses the network.

    Args:
        split_size: ranks that share one replica.
    """
    here, world = (int(environment.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if here == world or here % split_size == 0:
        return []
    return [f"{here} ranks on this machine: the {split_size} of a replica lie on two, and exchange over the network"]


def refuse_other_engines(environment: Mapping[str, str], engines: Collection[str], mixed_precision: str) -> None:
    """Refuse a launcher that asks for another engine or arithmetic than the experiment.

    Args:
        engines: variables that the experiment's strategy wants to be true.
        mixed_precision: Accelerate's name for what the experiment wants.
    """
    for name in _ENGINES:
        if environment.get(name, "false").lower() in ("true", "1") and name not in engines:
            engine = name.removeprefix("ACCELERATE_USE_").lower()
            raise UsageError(
                "accelerate launch",
                f"{name}=true",
                f"{_OWN_CONFIG}this experiment does not run on Accelerate's {engine}; "
                "launch with --config_file configs/accelerate/plain.yaml",
            )
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if precision not in ("no", mixed_precision):
        raise UsageError(
            "accelerate launch",
            f"mixed_precision {precision}",
            f"{_OWN_CONFIG}precision is set by --train.precision; launch with --mixed_precision no",
        )
    dynamo = environment.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()
    if dynamo != "no":
        raise UsageError(
            "accelerate launch", f"dynamo_backend {dynamo}", f"{_OWN_CONFIG}launch with --dynamo_backend no"
        )
