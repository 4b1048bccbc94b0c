"""The order of samples: a pure function of seed, epoch and step, the same for any number of ranks."""

import torch
from torch import Tensor

from alexnet_dist.rng import Rng


def share(length: int, parts: int, index: int) -> range:
    """The `index`-th of `parts` contiguous parts whose sizes differ by at most one."""
    return range(index * length // parts, (index + 1) * length // parts)


def sample_hashes(ids: Tensor) -> Tensor:
    """A 32-bit hash of each sample number, int64 of the same shape."""
    mixed = (ids + 1) * 0x9E3779B1 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return mixed ^ mixed >> 13


def fingerprint(ids: Tensor) -> int:
    """A checksum of sample numbers that does not depend on their order: checksums of parts add up.

    The sum of their hashes, exact in fp64 for up to two million of them. The steps of an epoch add up to the
    fingerprint of all its samples if each was seen exactly once, and otherwise with a chance of one in billions.
    """
    return int(sample_hashes(ids).sum())


class Order:
    """Cuts each epoch's permutation into global batches; the last one of an epoch may be short.

    Args:
        rng: owner of the permutation.
        samples: in the training set.
        global_batch: samples of a full step.
    """

    def __init__(self, rng: Rng, samples: int, global_batch: int) -> None:
        self.rng = rng
        self.samples = samples
        self.global_batch = global_batch
        self.steps_per_epoch = -(-samples // global_batch)
        self._hashes = sample_hashes(torch.arange(samples))
        self._epoch = -1
        self._permutation: Tensor | None = None

    def epoch(self, step: int) -> int:
        return step // self.steps_per_epoch

    def count(self, step: int) -> int:
        """Samples of a step over all ranks."""
        first = step % self.steps_per_epoch * self.global_batch
        return min(self.global_batch, self.samples - first)

    def ids(self, step: int, rows: range) -> Tensor:
        """Sample numbers (int64) at consecutive positions of a step's global batch."""
        epoch = self.epoch(step)
        if epoch != self._epoch or self._permutation is None:
            self._epoch, self._permutation = epoch, self.rng.permutation(epoch, self.samples)
        first = step % self.steps_per_epoch * self.global_batch
        return self._permutation[first + rows.start : first + rows.stop]

    def fingerprint(self, ids: Tensor) -> int:
        """As the function of this name, for samples in the training set; from a table, since every step needs it."""
        return int(self._hashes[ids].sum())

    def rows(self, step: int, shards: int, shard: int, accumulate: int) -> list[range]:
        """The positions of each micro-batch of one shard. Some are empty where the batch is very short."""
        mine = share(self.count(step), shards, shard)
        parts = (share(len(mine), accumulate, i) for i in range(accumulate))
        return [mine[part.start : part.stop] for part in parts]
