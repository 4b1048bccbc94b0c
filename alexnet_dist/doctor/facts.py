"""What a rank knows of itself before it has met the others."""

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch

from alexnet_dist.distributed.network_interface import name_interface
from alexnet_dist.telemetry.summary import cpu_name

PACKAGES = ("torch", "accelerate", "alexnet-dist")


@dataclass(frozen=True)
class Facts:
    """One rank.

    Attributes:
        rank, size, local_rank, local_size: as the launcher said, whether that is right or not.
        device: kind and name.
        device_id: of a GPU; None for a CPU, which ranks may share.
        visible: the GPUs that this process may see, as CUDA_VISIBLE_DEVICES counts them.
        backend, interface: what its process group uses; the interface is None on one machine.
        versions: of Python, of what computes and of what talks.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    host: str
    device: str
    device_id: str | None
    visible: list[str]
    backend: str
    interface: str | None
    versions: Mapping[str, str]


def own_facts() -> Facts:
    """This rank's.

    Raises:
        UsageError: the network interface cannot be told.
    """
    rank, size, local_rank, local_size = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))
    )
    gpu = uses_gpu() and local_rank < torch.cuda.device_count()
    properties = torch.cuda.get_device_properties(local_rank) if gpu else None
    return Facts(
        rank, size, local_rank, local_size,
        socket.gethostname(),
        f"cuda:{local_rank} {properties.name}" if properties else f"cpu {cpu_name()}",
        str(properties.uuid) if properties else None,
        visible_gpus(),
        "nccl" if gpu else "gloo",
        name_interface() if size > 1 else None,
        {"python": platform.python_version(), **{package: version(package) for package in PACKAGES},
         **({"cuda": str(torch.version.cuda)} if gpu else {})},
    )  # fmt: skip


def uses_gpu() -> bool:
    """Whether training would run on a GPU."""
    return torch.cuda.is_available() and not cpu_wanted()


def cpu_wanted() -> bool:
    return os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"


def visible_gpus() -> list[str]:
    """What the scheduler gave this process, also where torch cannot use it."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name for name in listed.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
