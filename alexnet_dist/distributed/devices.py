"""The GPUs that this process sees, and which of them is a rank's own."""

import os
import re
from collections import Counter
from collections.abc import Sequence

import torch

from alexnet_dist.distributed.launched_rank import cpu_wanted
from alexnet_dist.errors import UsageError

# For tests on one GPU: ranks may share it, and send their tensors over the backend that it names.
SHARED_GPU = "ALEXNET_DIST_SHARED_GPU"
BACKENDS = ("gloo", "nccl")


def trains_on_cpu() -> bool:
    """Whether training runs on the CPU: there is no GPU that torch can use, or the user asks for the CPU."""
    return cpu_wanted(os.environ) or not torch.cuda.is_available()


def gpu_count() -> int:
    """GPUs that training uses on this machine, a rank each; 0 where it runs on the CPU."""
    return 0 if trains_on_cpu() else torch.cuda.device_count()


def own_device(local_rank: int) -> torch.device:
    """A rank's device, as Accelerate chooses it. A rank may see all GPUs of its machine, or only its own."""
    gpus = gpu_count()
    return torch.device("cuda", local_rank % gpus) if gpus else torch.device("cpu")


def gpu_toolkit() -> str:
    """The version of CUDA, or of HIP, that torch was built for."""
    return torch.version.cuda or f"HIP {torch.version.hip}"


def own_uuid(device: torch.device) -> str | None:
    """A GPU's unique identifier.

    None for a CPU, which ranks may share, and for AMD's GPUs, whose partitions have one in common.
    """
    if device.type == "cpu" or torch.version.hip:
        return None
    return str(torch.cuda.get_device_properties(device).uuid)


def with_index(device: torch.device) -> torch.device:
    """The device with its number: one process gets a bare "cuda" from Accelerate, which other threads cannot set."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def tensor_backend() -> str:
    """The backend of the process groups that carry tensors: "gloo" or "nccl".

    Raises:
        UsageError: `SHARED_GPU` names no backend.
    """
    given = os.environ.get(SHARED_GPU, "")
    if given not in ("", *BACKENDS):
        raise UsageError(SHARED_GPU, given, f"must be {' or '.join(BACKENDS)}")
    return "gloo" if trains_on_cpu() else given or "nccl"


def check_count(ranks: int, gpus: int) -> None:
    """Refuse more ranks on a machine than it has GPUs.

    Ranks that see one GPU each may see different ones: `check_not_shared` finds out.

    Args:
        gpus: that each rank sees; 0 where training runs on the CPU.

    Raises:
        UsageError: there are more; it names both numbers.
    """
    if 1 < gpus < ranks and not os.environ.get(SHARED_GPU):
        remedy = "one rank a GPU: ask for more (--gpus-per-node), or start fewer ranks"
        raise UsageError("GPUs", f"{ranks} ranks and {gpus} visible", remedy)


def check_built_for(device: torch.device) -> None:
    """Refuse an NVIDIA GPU that this build of torch has no kernels for: its first kernel would fail.

    Raises:
        UsageError: naming the GPU, and what the build is for.
    """
    built = [] if device.type == "cpu" or torch.version.hip else torch.cuda.get_arch_list()
    # "sm_90" runs on 9.0 and later ones of the 9th generation, "compute_90" is compiled for any later one. A letter may
    # follow: for that kind of GPU alone.
    found = (re.fullmatch(r"(sm|compute)_(\d+)[af]?", name) for name in built)
    kinds = [(match[1], divmod(int(match[2]), 10)) for match in found if match]
    if not kinds:  # then torch does not know either
        return
    own = torch.cuda.get_device_capability(device)
    if not any(kind == "compute" or capability[0] == own[0] for kind, capability in kinds if capability <= own):
        raise UsageError(
            "GPUs",
            f"{torch.cuda.get_device_name(device)} (sm_{own[0]}{own[1]})",
            f"torch {torch.__version__} has no kernels for it, only for {', '.join(built)}: install a build that has "
            "(pytorch.org/get-started), or export ACCELERATE_USE_CPU=true to train on the CPU",
        )


def shared_gpus(uuids: Sequence[str | None]) -> list[list[int]]:
    """Ranks that have the same GPU, GPU by GPU.

    Args:
        uuids: by rank; None for a CPU.
    """
    times = Counter(uuid for uuid in uuids if uuid is not None)
    return [[rank for rank, uuid in enumerate(uuids) if uuid == shared] for shared in times if times[shared] > 1]


def use_device(device: torch.device) -> None:
    """Let this thread work on a device: a new thread works on the first GPU, even if that is another rank's."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def check_not_shared(uuids: Sequence[str | None]) -> None:
    """Refuse ranks that share a GPU, unless `SHARED_GPU` lets them.

    Args:
        uuids: by rank; None for a CPU.

    Raises:
        UsageError: naming the ranks.
    """
    for ranks in shared_gpus(uuids) if not os.environ.get(SHARED_GPU) else ():
        shown = f"ranks {', '.join(map(str, ranks))} share one ({uuids[ranks[0]]})"
        raise UsageError(
            "GPUs", shown, "one rank a GPU: start fewer, and let each see all GPUs of its machine or one of its own"
        )


def device_warnings(names: Sequence[str]) -> list[str]:
    """A line where the ranks' devices are of several models.

    Args:
        names: by rank.
    """
    models = Counter(names)
    if len(models) < 2:
        return []
    shown = ", ".join(f"{times} x {name}" for name, times in models.items())
    return [f"devices: {shown}: the slowest sets the pace"]
