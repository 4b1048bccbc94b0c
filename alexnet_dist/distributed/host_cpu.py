"""A CPU as a rank's device: the rank's share of the cores, and memory that is kept between steps."""

import ctypes
import os
import sys
from threading import Thread

import torch

from alexnet_dist.distributed.cores import threads_of_rank

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # malloc.h


def use_own_cores() -> None:
    """Let this rank compute with the threads of `threads_of_rank`; launchers set it to one, whatever the machine has.

    To be called by the thread that trains. Threads that start later (loader, checkpoint writer, callbacks of
    collectives) compute on one core. OpenMP gives every thread that computes a team of its own, and once the teams have
    more threads than there are cores, idle threads go to sleep instead of spinning. Each operation of the training
    thread must then wake its team first, which can take more than half of a step.

    Raises:
        UsageError: OMP_NUM_THREADS is not a number of threads.
    """
    torch.set_num_threads(threads_of_rank(os.environ))
    torch.get_num_threads()  # fixes the number for this thread; what is set last holds for the others
    others = Thread(target=torch.set_num_threads, args=(1,))
    others.start()
    others.join()


def keep_freed_memory() -> None:
    """Let glibc keep large blocks that torch frees instead of returning them to the kernel.

    Every step on a CPU frees and allocates the same activations; by default each comes back as fresh pages that the
    kernel zeroes at first touch: a tenth to a third of a step of alexnet_2012. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_ARENA_MAX, 1)  # a thread's own arena gives blocks back all the same
