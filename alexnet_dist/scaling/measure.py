"""Counts an experiment on several numbers of ranks, each in a new process: a process has one world of ranks."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from alexnet_dist.scaling.count import Costs, count
from alexnet_dist.temporary import interruptible


def measure(cases: Mapping[int, Sequence[str]]) -> dict[int, Costs]:
    """Count by number of ranks, one after the other.

    Args:
        cases: the experiment's flags by number of ranks.

    Raises:
        UsageError: an experiment cannot work.
    """
    context = get_context("forkserver")  # imports once for all calls, then forks for each case
    context.set_forkserver_preload(["alexnet_dist.scaling.preloaded"])
    with interruptible(), ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        return {ranks: pool.submit(count, ranks, flags).result() for ranks, flags in cases.items()}
