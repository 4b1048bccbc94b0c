"""Whether this user may start the threads that ranks need.

Without them OpenBLAS, OpenMP, torch's store and W&B's process each fail or hang in a different way.
"""

import resource
from threading import Event, Thread

from alexnet_dist.errors import UsageError

# Threads of a process that do not compute. Measured: 7 of a rank alone, 20 with W&B, 15 of a launcher of two ranks.
OTHER_THREADS = 18


def check_threads(computing: int, processes: int = 1) -> None:
    """Start as many threads as processes will have, which wait for each other, and end them.

    Args:
        computing: those that compute, over all processes.
        processes: ranks on this machine and what starts them.

    Raises:
        UsageError: that many cannot be started.
    """
    end, count = Event(), computing + OTHER_THREADS * processes
    started: list[Thread] = []
    try:
        for _ in range(count):
            thread = Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        raise _refusal(count, len(started)) from None
    finally:
        end.set()
        for thread in started:
            thread.join()


def _refusal(wanted: int, started: int) -> UsageError:
    """Names the limit: on memory, which a thread's stack takes, where there is one (it is unusual), else on threads."""
    could = f"of about {wanted} threads {started} can be started: raise it"
    memory, threads = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC))
    if memory != resource.RLIM_INFINITY:
        return UsageError("ulimit -v", f"{memory // 1024} KiB", could)
    given = "unlimited" if threads == resource.RLIM_INFINITY else threads
    return UsageError("ulimit -u", given, f"{could}, or the container's pids.max")
