"""Work done by threads ahead of its consumer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_order(
    work: Iterable[Callable[[], T]], threads: int, ahead: int, name: str, start: Callable[[], None] = lambda: None
) -> Iterator[T]:
    """The results of `work`, in its order.

    Args:
        ahead: how many pieces of work are done or under way beyond the one that is asked for.
        name: of the threads.
        start: called by each thread first.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=start)
    rest = iter(work)
    pending: deque[Future[T]] = deque(pool.submit(piece) for piece in islice(rest, ahead))
    try:
        while pending:
            ready = pending.popleft().result()
            pending.extend(pool.submit(piece) for piece in islice(rest, 1))
            yield ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
