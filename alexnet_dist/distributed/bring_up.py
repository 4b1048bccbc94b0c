"""Initialises torch.distributed through Accelerate, and shuts it down; every time limit of a collective is set here."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import torch.distributed as dist
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState, GradientState
from torch.distributed import ProcessGroup

from alexnet_dist.distributed.agreement import all_or_none, gather_on_first, on_first_rank
from alexnet_dist.distributed.descriptors import LAZY_GLOO, raise_descriptor_limit
from alexnet_dist.distributed.devices import (
    check_built_for,
    check_count,
    check_not_shared,
    gpu_count,
    own_uuid,
    tensor_backend,
    trains_on_cpu,
    with_index,
)
from alexnet_dist.distributed.host_cpu import keep_freed_memory, use_own_cores
from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.distributed.mesh import World, new_host_group
from alexnet_dist.distributed.network_interface import choose_interface
from alexnet_dist.errors import UsageError, in_one_line

# Until the first step is over, since ranks may start minutes apart; then `limit_waiting` applies.
STARTUP_TIMEOUT = timedelta(minutes=10)
# NCCL's own watchdog ends a process without a message: let gloo's error, or `progress_limit`, which name the rank, come
# first.
NCCL_GRACE = timedelta(seconds=45)


@dataclass(frozen=True)
class AcceleratorOptions:
    """What an engine must set before the Accelerator is made.

    Attributes:
        accelerator: keyword arguments of `accelerate.Accelerator`, which replace the program's own (DeepSpeed on a CPU,
            for one, must not get `cpu=True`).
        environment: variables that the launcher may have set to "true", such as ACCELERATE_USE_DEEPSPEED; any other
            engine that a user's own Accelerate config asks for is refused.
    """

    accelerator: Mapping[str, Any] = field(default_factory=dict)
    environment: frozenset[str] = frozenset()


def init_distributed(options: AcceleratorOptions, mixed_precision: str, world_size: int) -> tuple[Accelerator, World]:
    """Initialise torch.distributed and check the world size against the launcher's. Collective.

    Args:
        mixed_precision: Accelerate's name of the dtype that autocast computes in, or "no".
        world_size: according to the launcher.

    Raises:
        UsageError: another number of ranks came up, ranks would share a GPU, torch is not built for one, or a variable
            that Accelerate reads makes no sense.
    """
    on_cpu, backend = trains_on_cpu(), tensor_backend()
    check_count(launched_rank(os.environ).local_world_size, gpu_count())
    _check_device("cpu" if on_cpu else "cuda")
    choose_interface()
    raise_descriptor_limit()
    os.environ.setdefault(LAZY_GLOO, "1")
    # For several ranks only: with these arguments, Accelerate initialises a process group even for one rank.
    group = [InitProcessGroupKwargs(timeout=STARTUP_TIMEOUT, backend=backend)]
    settings = {
        "cpu": on_cpu,
        "mixed_precision": mixed_precision,
        "kwargs_handlers": group if world_size > 1 else [],
    }
    accelerator = _make_accelerator({**settings, **options.accelerator})
    if accelerator.num_processes != world_size:
        raise UsageError("accelerate launch", f"{world_size} ranks promised", f"{accelerator.num_processes} came up")
    if on_cpu:
        keep_freed_memory()
        use_own_cores()
    control = None
    if world_size > 1:
        control, backend = _control_group(), dist.get_backend()
        if backend == "gloo" and dist.group.WORLD is not None:
            # DeepSpeed binds it to a GPU that it sees, which makes torch split it for meshes; torch 2.11 cannot.
            dist.group.WORLD.bound_device_id = None
    world = World(accelerator.process_index, world_size, with_index(accelerator.device), control, backend)
    all_or_none(world, lambda: check_built_for(world.device))
    uuids = gather_on_first(world, own_uuid(world.device))
    on_first_rank(world, lambda: check_not_shared(uuids))
    return accelerator, world


def _make_accelerator(settings: Mapping[str, Any]) -> Accelerator:
    try:
        return Accelerator(**settings)
    # About a variable that Accelerate reads, a package that it requires, or one that these GPUs require.
    except (ValueError, ImportError, NotImplementedError) as error:
        raise UsageError("accelerate", "its environment variables", in_one_line(error)) from error
    except RuntimeError as error:  # a group's own variable, such as TORCH_NCCL_BLOCKING_WAIT
        if "environment variable" not in str(error):
            raise
        remedy = "torch's process groups read it: correct or unset it"
        raise UsageError("environment", str(error).partition("\n")[0], remedy) from error


def _check_device(wanted: str) -> None:
    given = os.environ.get("ACCELERATE_TORCH_DEVICE", wanted)
    if given.partition(":")[0] != wanted:
        raise UsageError("ACCELERATE_TORCH_DEVICE", given, f"this run is on {wanted}: unset it")


@cache
def _control_group() -> ProcessGroup:
    return new_host_group(STARTUP_TIMEOUT)


def shut_down(accelerator: Accelerator) -> None:
    """Release an Accelerator, so that the same ranks can make another one, with another engine."""
    accelerator.free_memory()
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)  # Accelerate leaves it behind


def limit_waiting(world: World, groups: Iterable[ProcessGroup], timeout: timedelta) -> None:
    """From now on, a rank that keeps others waiting for longer than `timeout` ends the run.

    Args:
        groups: that the engine communicates over; the default group and the control group are added.
    """
    # torch before 2.14 has the old name only.
    set_timeout = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    for group in {dist.group.WORLD, world.control, *groups} if world.size > 1 else ():
        set_timeout(timeout + NCCL_GRACE if dist.get_backend(group) == "nccl" else timeout, group)
