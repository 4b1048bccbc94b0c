"""What the launcher's environment variables say, checked before anything heavy is imported.

Accelerate silently takes settings from the user's own config file, and may start one process instead of several.
"""

from collections.abc import Collection, Mapping, MutableMapping
from tempfile import gettempdir

from alexnet_dist.distributed.cores import threads_of_rank
from alexnet_dist.distributed.launched_rank import LaunchedRank, cpu_wanted, launched_rank
from alexnet_dist.distributed.network_interface import check_loopback, check_resolves
from alexnet_dist.distributed.thread_limit import check_threads
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.slurm import refuse_separate_launchers, set_ranks_from_srun

_ENGINES = (
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG",
)
_SOURCE = "a flag of accelerate launch or your own `accelerate config` file says so: "


def enter_world(environment: MutableMapping[str, str]) -> LaunchedRank:
    """This process as its launcher or srun describes it; every program that runs on ranks calls this first.

    Args:
        environment: read; a task of srun gets the variables that a launcher would set, and GPUs are hidden where the
            CPU is wanted: torch's optimizers and DeepSpeed would take memory of one that they see.

    Raises:
        UsageError: several processes would not find or reach each other, a variable makes no sense, or too few threads
            can be started.
    """
    set_ranks_from_srun(environment)
    refuse_separate_launchers(environment)
    rank = launched_rank(environment)
    if cpu_wanted(environment):
        environment["CUDA_VISIBLE_DEVICES"] = ""
    check_threads(threads_of_rank(environment))
    if rank.world_size > 1:
        check_loopback()
        check_resolves("MASTER_ADDR", environment["MASTER_ADDR"])
    try:
        gettempdir()
    except OSError as error:
        remedy = f"{error.strerror}: set it to a folder that can be written"
        raise UsageError("TMPDIR", environment.get("TMPDIR", ""), remedy) from None
    return rank


def refuse_other_engines(environment: Mapping[str, str], engines: Collection[str], mixed_precision: str) -> None:
    """Refuse a launcher that asks Accelerate for another engine or precision than the experiment.

    Args:
        engines: names of the variables that may be true, since they ask for the engine of the experiment's strategy.
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
