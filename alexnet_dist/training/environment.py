"""What the launcher said, held against what the experiment wants and against what really came up.

Accelerate takes settings from a user's own config file without a word, and starts one process where it promised
two; each such case is caught here (see `accelerate launch` in the README).
"""

import os
from collections.abc import Mapping
from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs

from alexnet_dist.errors import Refusal
from alexnet_dist.layout.layout import World
from alexnet_dist.strategies.base import EngineOptions
from alexnet_dist.training.host_memory import keep_freed_memory

_ENGINES = (
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG",
)
_OWN_CONFIG = "a flag of accelerate launch or your own `accelerate config` file says so: "
# A rank that another one waits for longer than this is taken for dead.
COLLECTIVE_TIMEOUT = timedelta(minutes=10)


def promised_world(environment: Mapping[str, str]) -> int:
    """How many ranks the launcher said there would be.

    Raises:
        Refusal: it said that there are several, but started processes that know nothing of each other.
    """
    if "RANK" not in environment and "MASTER_ADDR" in environment:
        raise Refusal(
            "accelerate launch",
            "MASTER_ADDR without RANK",
            "with --cpu only one process comes up, whatever "
            "--num_processes says: use --multi_gpu --num_processes N, also without a GPU",
        )
    return int(environment.get("WORLD_SIZE", "1"))


def check_launcher(environment: Mapping[str, str], options: EngineOptions, mixed_precision: str) -> None:
    """Refuse a launcher that asks for another engine or arithmetic than the experiment.

    Args:
        mixed_precision: Accelerate's name for what the experiment wants.
    """
    for name in _ENGINES:
        if environment.get(name, "false").lower() in ("true", "1") and name not in options.environment:
            engine = name.removeprefix("ACCELERATE_USE_").lower()
            raise Refusal(
                "accelerate launch",
                f"{name}=true",
                f"{_OWN_CONFIG}this experiment does not use {engine}; "
                "launch with --config_file configs/accelerate/plain.yaml",
            )
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if precision not in ("no", mixed_precision):
        raise Refusal(
            "accelerate launch",
            f"mixed_precision {precision}",
            f"{_OWN_CONFIG}precision is set by --train.precision; launch with --mixed_precision no",
        )
    dynamo = environment.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()
    if dynamo != "no":
        raise Refusal("accelerate launch", f"dynamo_backend {dynamo}", f"{_OWN_CONFIG}launch with --dynamo_backend no")


def start(options: EngineOptions, mixed_precision: str, promised: int) -> tuple[Accelerator, World]:
    """Bring the ranks up: the Accelerator, and the world that it found. Collective.

    Raises:
        Refusal: other ranks came up than the launcher promised.
    """
    on_cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if not on_cpu and local_rank >= torch.cuda.device_count():
        raise Refusal(
            "accelerate launch",
            f"local rank {local_rank}",
            f"this machine shows {torch.cuda.device_count()} GPUs: launch one rank a GPU",
        )
    # Told for several ranks only: Accelerate would look for a process group even where there is just one.
    group = [InitProcessGroupKwargs(timeout=COLLECTIVE_TIMEOUT, backend="gloo" if on_cpu else None)]
    settings = {
        "cpu": on_cpu,
        "mixed_precision": mixed_precision,
        "log_with": "wandb",
        "kwargs_handlers": group if promised > 1 else [],
    }
    accelerator = Accelerator(**{**settings, **options.accelerator})
    if accelerator.num_processes != promised:
        raise Refusal("accelerate launch", f"{promised} ranks promised", f"{accelerator.num_processes} came up")
    if on_cpu:
        keep_freed_memory()
        # torchrun sets one thread per rank however many cores there are.
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    control: dist.ProcessGroup | None = None
    if promised > 1:
        members = dist.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)
        assert isinstance(members, dist.ProcessGroup), "every rank is a member"
        control = members
    return accelerator, World(accelerator.process_index, promised, accelerator.device, control)
