"""The CPU cores of this process, and how many threads a rank computes with. Imports nothing heavy."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from math import ceil
from pathlib import Path

from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.errors import UsageError

THREADS = "OMP_NUM_THREADS"
# THREADS as the user has set it, or empty: recorded before a launcher replaces it.
USERS_THREADS = "ALEXNET_DIST_OMP_NUM_THREADS"
# How many times an idle OpenMP thread looks for work before it sleeps; libgomp's default is 300,000. Images/s of
# alexnet_small, batch 64, one process on two cores of an AMD EPYC:
#                             alone               beside another torch process
#   default                   10,200 to 14,600    mostly 120
#   30,000                    9,600 to 12,200     2,600 to 4,600
#   10,000                    6,200 to 9,900      1,200 to 3,300
#   OMP_WAIT_POLICY=passive   800 to 4,400        3,200 to 4,000
SPIN_COUNT = 30_000
_SPINNING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may run on, at most the CPU quota of its control groups, rounded up.

    Args:
        root: of the file system, for the control groups.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # only on Linux
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min([cores, *(ceil(quota) for quota in _quotas(root))]))


def record_users_threads(environment: MutableMapping[str, str]) -> None:
    """Keep what the user has set OMP_NUM_THREADS to; to be called before a launcher is started, which replaces it."""
    environment.setdefault(USERS_THREADS, environment.get(THREADS, ""))


def threads_of_rank(environment: Mapping[str, str]) -> int:
    """Threads that this rank computes with: OMP_NUM_THREADS where the user set it, else an even share of the cores.

    Launchers set it to 1 by themselves: under one that did not record the user's number, 1 counts as unset.

    Raises:
        UsageError: it is not a number of threads.
    """
    given = environment.get(USERS_THREADS, environment.get(THREADS, ""))
    launched = "RANK" in environment or "ACCELERATE_MIXED_PRECISION" in environment
    if given == "" or (given == "1" and launched and USERS_THREADS not in environment):
        return max(1, available_cores() // launched_rank(environment).local_world_size)
    first = given.split(",")[0].strip()  # the others are of nested regions
    if not (first.isascii() and first.isdecimal() and 1 <= int(first) <= 65_536):
        raise UsageError(THREADS, given, "must be a number of threads from 1 to 65536")
    return int(first)


def bound_spinning(environment: MutableMapping[str, str]) -> None:
    """Let idle OpenMP threads sleep soon, unless the user set how they wait; to be called before torch is imported.

    By default they spin for milliseconds. Where another program computes on the same cores, they take time from the
    threads that have work.
    """
    if not any(name in environment for name in _SPINNING):
        environment["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def _quotas(root: Path) -> Iterator[float]:
    """CPU seconds per second that each control group (v1, v2) above this process allows."""
    for folder in _groups(root):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()  # "max 100000": no limit
            yield int(quota) / int(period)
        with suppress(OSError, ValueError):
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(quota) > 0:  # -1: no limit
                yield int(quota) / int(period)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of this process's control groups that may limit CPU time, from its own up to the outermost it can see."""
    with suppress(OSError, ValueError):
        own = dict[str, str]()  # by controller; v2 has the empty name
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own |= dict.fromkeys(controllers.split(","), path)
        for line in (root / "proc/self/mountinfo").read_text().splitlines():
            mount, _, source = line.partition(" - ")
            mounted, point = mount.split(" ")[3:5]
            kind, _, options = source.split(" ", 2)
            controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
            if controller not in own or (controller and controller not in options.split(",")):
                continue
            place, group = root / point.lstrip("/"), Path(own[controller])
            # Inside a container a part of the tree is mounted, and the path may be the host's.
            folder = place / group.relative_to(mounted) if group.is_relative_to(mounted) else place
            yield from [folder, *(parent for parent in folder.parents if parent.is_relative_to(place))]
