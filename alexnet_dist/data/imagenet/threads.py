"""The threads that read and decode images."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

from alexnet_dist.costs.units import counted
from alexnet_dist.distributed.cores import available_cores, threads_of_rank
from alexnet_dist.distributed.launched_rank import launched_rank

CHUNKS_PER_THREAD = 2  # pieces of a batch: several, since some images take longer than others
MOST_BY_DEFAULT = 16
NICE = 10


class RowThreads:
    """Works on the rows of a batch. Any number of threads may ask for that at once.

    Args:
        count: of threads; with 0 the caller does the work itself.
        cores: that they may run on, behind all other threads there; None: wherever the process may.
    """

    def __init__(self, count: int, cores: frozenset[int] | None = None) -> None:
        self.count, self.cores = count, cores
        self._pool = ThreadPoolExecutor(count, "decode", self._settle) if count else None

    def __str__(self) -> str:
        count = counted(self.count, "thread")
        if self.cores is not None:
            return f"{count} on {len(self.cores)} cores"
        training = threads_of_rank(os.environ)
        return f"{count} beside {training} that train{'s' if training == 1 else ''}"

    def share(self, rows: int, work: Callable[[range], None]) -> None:
        """Call `work` with all rows, a piece of them in each call."""
        if self._pool is None:
            work(range(rows))
            return
        size = max(1, -(-rows // (self.count * CHUNKS_PER_THREAD)))
        pieces = [self._pool.submit(work, range(rows)[start : start + size]) for start in range(0, rows, size)]
        for piece in wait(pieces).done:  # for all at once: each wake-up may take as long as an image
            piece.result()

    def _settle(self) -> None:
        if self.cores is not None:
            thread = threading.get_native_id()
            os.sched_setaffinity(thread, self.cores)
            os.setpriority(os.PRIO_PROCESS, thread, NICE)


def decoding_threads(workers: int | None, device: torch.device) -> RowThreads:
    """The threads of a rank.

    A GPU is kept busy by the rank's own thread: the others leave it a core, and yield to it on the rest. On a CPU
    training computes on all cores; decoding takes what the scheduler gives its threads.

    Args:
        workers: how many; None: 1, or on a GPU the rank's share of the cores but one.
        device: that the rank trains on.
    """
    if device.type != "cuda":
        return RowThreads(1 if workers is None else workers)
    ranks = launched_rank(os.environ).local_world_size
    share = max(1, min(MOST_BY_DEFAULT, available_cores() // ranks - 1))
    return RowThreads(share if workers is None else workers, _cores_beside(ranks))


def _cores_beside(ranks: int) -> frozenset[int] | None:
    """The process's cores but one for each rank of the machine; None where there are too few, or cannot be chosen."""
    if not hasattr(os, "sched_setaffinity"):  # Linux alone
        return None
    cores = sorted(os.sched_getaffinity(0))
    return frozenset(cores[ranks:] if len(cores) >= 2 * ranks else cores)
