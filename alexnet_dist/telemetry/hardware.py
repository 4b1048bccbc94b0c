"""The machines that a run used: device names, hosts, peak memory."""

import platform
import resource
import sys
from dataclasses import dataclass

import psutil
import torch

from alexnet_dist.distributed.agreement import gather_on_first
from alexnet_dist.distributed.mesh import World

LOAD_SECONDS, BUSY_CORES = 1.0, 0.5


@dataclass(frozen=True)
class Hardware:
    """The machines and devices that a run used.

    Attributes:
        device_type: "cpu" or "cuda".
        device_names, hosts: by rank.
        peak_memory_bytes: by rank, the most allocated on its GPU, or without one the process's largest resident size.
    """

    device_type: str
    device_names: list[str]
    peak_memory_bytes: list[int]
    hosts: list[str]


def gather_hardware(world: World) -> Hardware:
    """Every rank's hardware, with its peak memory so far, on the first rank; empty elsewhere. Collective."""
    if world.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(world.device)
    else:
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2) of each
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    ranks = gather_on_first(world, (device_name(world.device), peak, platform.node()))
    names, peaks, hosts = zip(*ranks, strict=True) if ranks else ((), (), ())
    return Hardware(world.device.type, list(names), list(peaks), list(hosts))


def load_warnings() -> list[str]:
    """A line where other programs compute on this machine, before something is measured; watches for a second."""
    cores = psutil.cpu_count() or 1
    busy = psutil.cpu_percent(LOAD_SECONDS) / 100 * cores
    if busy < BUSY_CORES:
        return []
    return [f"other programs use {busy:.1f} of this machine's {cores} cores: what is measured now will be disturbed"]


def device_name(device: torch.device) -> str:
    """The model's name, as its maker or the kernel reports it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()


def _cpu_name() -> str:
    """The CPU's model name as the kernel reports it, else the architecture."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
