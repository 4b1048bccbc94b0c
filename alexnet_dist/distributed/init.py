"""Brings the ranks up, and checks that they are those that the launcher promised."""

import os
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState, GradientState

from alexnet_dist.distributed.host_cpu import keep_freed_memory, use_own_cores
from alexnet_dist.distributed.mesh import Layout, World
from alexnet_dist.distributed.network_interface import name_interface
from alexnet_dist.errors import UsageError
from alexnet_dist.strategies.base import AcceleratorOptions

# Until the first step is over: ranks may start minutes apart. Then `limit_waiting` applies.
COLLECTIVE_TIMEOUT = timedelta(minutes=10)


def start(options: AcceleratorOptions, mixed_precision: str, promised: int) -> tuple[Accelerator, World]:
    """Bring the ranks up: the Accelerator, and the world that it found. Collective.

    Raises:
        UsageError: other ranks came up than the launcher promised.
    """
    on_cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"
    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if not on_cpu and local_ranks > torch.cuda.device_count():
        gpus = torch.cuda.device_count()
        raise UsageError("accelerate launch", f"{local_ranks} ranks", f"this machine shows {gpus} GPUs: one rank a GPU")
    name_interface()
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
        raise UsageError("accelerate launch", f"{promised} ranks promised", f"{accelerator.num_processes} came up")
    if on_cpu:
        keep_freed_memory()
        use_own_cores()
    control = _control_group() if promised > 1 else None
    return accelerator, World(accelerator.process_index, promised, accelerator.device, control)


@cache
def _control_group() -> dist.ProcessGroup:
    members = dist.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)
    assert isinstance(members, dist.ProcessGroup), "every rank is a member"
    return members


def stop(accelerator: Accelerator) -> None:
    """Let an Accelerator go, so that the same ranks can start another one, with another engine."""
    accelerator.free_memory()
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)  # Accelerate leaves it behind


def limit_waiting(world: World, layout: Layout, timeout: timedelta) -> None:
    """From now on, a rank that keeps others waiting for longer than `timeout` ends the run."""
    groups = [dist.group.WORLD, world.control, layout.dp_group, layout.split_group] if world.size > 1 else []
    # The old name is all that torch before 2.14 has.
    set_timeout = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    for group in groups:
        set_timeout(timeout, group)
