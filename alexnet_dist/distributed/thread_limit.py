"""Whether this user may start the threads that ranks need. Without them OpenBLAS, OpenMP, torch's store and W&B's
process each fail or hang in a different way."""

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
        limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        remedy = f"of about {count} threads {len(started)} can be started: raise it, or the container's pids.max"
        raise UsageError("ulimit -u", "unlimited" if limit == resource.RLIM_INFINITY else limit, remedy) from None
    finally:
        end.set()
        for thread in started:
            thread.join()
