"""What a rank knows about itself before it communicates."""

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import takewhile

import torch

from alexnet_dist.distributed.devices import gpu_toolkit, own_device, own_uuid, tensor_backend
from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.distributed.network_interface import choose_interface
from alexnet_dist.telemetry.hardware import device_name

PACKAGES = ("torch", "accelerate", "alexnet-dist")


@dataclass(frozen=True)
class RankFacts:
    """One rank.

    Attributes:
        rank, world_size, local_rank, local_world_size: as the environment says, unchecked.
        device: as torch names it, such as "cuda:1".
        device_name: its model.
        device_id: a GPU's UUID; None for a CPU, which ranks may share.
        visible: the GPUs that this process may use, as CUDA_VISIBLE_DEVICES (AMD: HIP_VISIBLE_DEVICES) names them.
        backend, interface: of its process group; the interface is None on one machine.
        versions: of Python, of the packages that must be the same on all nodes, and of CUDA.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    host: str
    device: str
    device_name: str
    device_id: str | None
    visible: list[str]
    backend: str
    interface: str | None
    versions: Mapping[str, str]


def own_facts() -> RankFacts:
    """This rank's.

    Raises:
        UsageError: the network interface cannot be found, or a variable makes no sense.
    """
    own = launched_rank(os.environ)
    device = own_device(own.local_rank)
    return RankFacts(
        own.rank, own.world_size, own.local_rank, own.local_world_size,
        socket.gethostname(),
        str(device),
        device_name(device),
        own_uuid(device),
        visible_gpus(),
        tensor_backend(),
        choose_interface() if own.world_size > 1 else None,
        {"python": platform.python_version(), **{package: version(package) for package in PACKAGES},
         **({"cuda": gpu_toolkit()} if device.type == "cuda" else {})},
    )  # fmt: skip


def visible_gpus() -> list[str]:
    """The GPUs that the scheduler gave this process, whether or not torch can use them."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.hip:
        listed = os.environ.get("HIP_VISIBLE_DEVICES", listed)
    if listed is None:
        return [str(index) for index in range(torch.cuda.device_count())]
    # Any other word hides itself and what follows: -1, void, Slurm's NoDevFiles.
    names = (name.strip() for name in listed.split(","))
    return list(takewhile(lambda name: name.isdecimal() or name.startswith(("GPU-", "MIG-")), names))
