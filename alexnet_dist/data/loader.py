"""The micro-batches of one rank, prepared ahead of the loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from alexnet_dist.data.ahead import in_order
from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.dataset import Samples
from alexnet_dist.data.order import Order
from alexnet_dist.distributed.devices import use_device
from alexnet_dist.distributed.mesh import SampleShard


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
    rows: range


@dataclass(frozen=True)
class Loader:
    """Loads one rank's part of each global batch.

    Attributes:
        samples: the training set.
        order: which samples a step takes.
        shard: which of them are this rank's.
        accumulate: micro-batches per step.
        augmenter: makes the net's input of samples.
        workers: threads that prepare batches ahead; with 0, the caller's own thread prepares them.
        prefetch: micro-batches that are ready or under way ahead of the one that is asked for.
        device: of the batches.
    """

    samples: Samples
    order: Order
    shard: SampleShard
    accumulate: int
    augmenter: Augmenter
    workers: int
    prefetch: int
    device: torch.device

    def micro_batches(self, start: int, stop: int) -> Iterator[MicroBatch]:
        """All micro-batches of steps start … stop - 1, `accumulate` per step, in order."""
        work = (
            partial(self._load, self.order.epoch(step), self.order.ids(step, rows), rows)
            for step in range(start, stop)
            for rows in self.order.rows(step, self.shard.count, self.shard.index, self.accumulate)
        )
        if not self.workers:
            return (load() for load in work)
        return in_order(
            work, min(self.workers, self.prefetch), self.prefetch, "loader", partial(use_device, self.device)
        )

    def _load(self, epoch: int, ids: Tensor, rows: range) -> MicroBatch:
        images, labels = self.augmenter(self.samples, epoch, ids)
        return MicroBatch(images, labels, ids, rows)
