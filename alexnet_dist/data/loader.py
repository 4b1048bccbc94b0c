"""The micro-batches of one rank, prepared ahead of the loop."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from alexnet_dist.data.dataset import Samples
from alexnet_dist.data.order import Order, Rows
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.mesh import SampleShard

T = TypeVar("T")


@dataclass(frozen=True)
class MicroBatch:
    """The samples of one forward and backward pass on one rank.

    Attributes:
        images: (rows, channels, size, size), channels last, as the net takes them.
        labels: int64 (rows,).
        ids: int64 (rows,), sample numbers in the training set, on the CPU.
        rows: the samples' positions in the global batch.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor
    rows: Rows


@dataclass(frozen=True)
class Loader:
    """Loads one rank's part of each global batch.

    Attributes:
        samples: the training set.
        order: which samples a step takes.
        shard: which of them are this rank's.
        accumulate: micro-batches per step.
        transform: makes the net's input of uint8 images.
        workers: threads that prepare batches ahead; with 0, the caller's own thread prepares them.
        device: of the batches.
    """

    samples: Samples
    order: Order
    shard: SampleShard
    accumulate: int
    transform: InputTransform
    workers: int
    device: torch.device

    def micro_batches(self, start: int, stop: int) -> Iterator[MicroBatch]:
        """All micro-batches of steps start … stop - 1, `accumulate` per step, in order."""
        work = (
            partial(self._load, self.order.ids(step, rows), rows)
            for step in range(start, stop)
            for rows in self.order.rows(step, self.shard.count, self.shard.index, self.accumulate)
        )
        return _ahead(work, self.workers, self.device) if self.workers else (load() for load in work)

    def _load(self, ids: Tensor, rows: Rows) -> MicroBatch:
        pixels, labels = self.samples.batch(ids)
        return MicroBatch(self.transform(pixels), labels, ids, rows)


def _ahead(work: Iterable[Callable[[], T]], workers: int, device: torch.device) -> Iterator[T]:
    """Results in order; one more task is under way than there are threads."""

    def use_device() -> None:
        if device.type == "cuda":  # a new thread's current device is the first one, whoever's that is
            torch.cuda.set_device(device)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="loader", initializer=use_device)
    rest = iter(work)
    pending: deque[Future[T]] = deque(pool.submit(load) for load in islice(rest, workers + 1))
    try:
        while pending:
            ready = pending.popleft().result()
            pending.extend(pool.submit(load) for load in islice(rest, 1))
            yield ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
