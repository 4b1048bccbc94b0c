"""The micro-batches of one replica, prepared ahead of the loop."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from alexnet_dist.data.dataset import Images
from alexnet_dist.data.order import Order, Rows
from alexnet_dist.data.transforms import prepare
from alexnet_dist.distributed.mesh import Layout

T = TypeVar("T")


@dataclass(frozen=True)
class MicroBatch:
    """What one rank works on at once.

    Attributes:
        images: (rows, channels, size, size), channels last, scaled to [0, 1].
        labels: int64 (rows,).
        ids: int64 (rows,), the samples' numbers in the training set, on the CPU.
        rows: the samples' positions in the global batch.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor
    rows: Rows


class Loader:
    """Cuts global batches for one rank: replicas get disjoint parts, towers of one replica the same.

    Args:
        images: the training set, on the device where batches are wanted.
        order: which samples a step takes.
        layout: this rank's place.
        accumulate: micro-steps of a step.
        size: input height and width of the net.
        dtype: floating dtype of the batches.
        workers: threads that prepare ahead; 0 prepares in the caller's.
    """

    def __init__(
        self,
        images: Images,
        order: Order,
        layout: Layout,
        accumulate: int,
        size: int,
        dtype: torch.dtype,
        workers: int,
    ) -> None:
        self.images = images
        self.order = order
        self.layout = layout
        self.accumulate = accumulate
        self.size = size
        self.dtype = dtype
        self.workers = workers

    def micro_batches(self, start: int, stop: int) -> Iterator[MicroBatch]:
        """All micro-batches of steps start … stop - 1, `accumulate` a step, in order."""
        work = (
            partial(self._load, self.order.ids(step, rows), rows)
            for step in range(start, stop)
            for rows in self.order.rows(step, self.layout.dp_size, self.layout.dp_index, self.accumulate)
        )
        return _ahead(work, self.workers, self.layout.world.device) if self.workers else (load() for load in work)

    def _load(self, ids: Tensor, rows: Rows) -> MicroBatch:
        device = self.images.labels.device
        # From pinned memory: an ordinary copy would wait for all work that the device has queued.
        index = ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ids
        pixels = prepare(self.images.pixels[index], self.size, self.dtype)
        return MicroBatch(pixels, self.images.labels[index], ids, rows)


def _ahead(work: Iterable[Callable[[], T]], workers: int, device: torch.device) -> Iterator[T]:
    """Results in order, with one more piece of work under way than there are threads."""

    def start() -> None:
        if device.type == "cuda":  # a new thread works on the first device, whoever's that is
            torch.cuda.set_device(device)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="loader", initializer=start)
    rest = iter(work)
    pending: deque[Future[T]] = deque(pool.submit(load) for load in islice(rest, workers + 1))
    try:
        while pending:
            ready = pending.popleft().result()
            pending.extend(pool.submit(load) for load in islice(rest, 1))
            yield ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
