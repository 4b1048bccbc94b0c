"""Compares the first step's samples over all ranks: no sample twice, none left out, ranks of a shard alike.

An engine that shards on its own, or not at all, would otherwise train silently on the wrong samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.data.order import Order, fingerprint
from alexnet_dist.distributed.agreement import gather_on_first
from alexnet_dist.distributed.mesh import SampleShard, World


@dataclass(frozen=True)
class Held:
    """The samples of a step on one rank.

    Attributes:
        shard: which part of the global batch they are.
        count, fingerprint: how many, and which (`data.order.fingerprint`).
        checksum: of their images.
    """

    shard: int
    count: int
    fingerprint: int
    checksum: float


def check_samples(world: World, shard: SampleShard, batches: Iterable[MicroBatch], order: Order) -> None:
    """Compare the first step's samples over all ranks. Collective.

    Args:
        batches: all micro-batches of the step on this rank.

    Raises:
        RuntimeError: on the first rank: shards overlap or miss a sample, or ranks of one shard differ; a defect, never
            a user's mistake.
    """
    count, mixed, checksum = 0, 0, 0.0
    for batch in batches:
        count += len(batch.ids)
        mixed += fingerprint(batch.ids)
        checksum += float(batch.images.sum(dtype=torch.float64))
    ranks = gather_on_first(world, Held(shard.index, count, mixed, checksum))
    if ranks:
        total = order.count(0)
        problem = sharding_problem(ranks, total, fingerprint(order.ids(0, range(total))))
        if problem is not None:
            raise RuntimeError(problem)


def sharding_problem(ranks: Sequence[Held], count: int, expected: int) -> str | None:
    """What is wrong with the samples of one step, or None.

    Args:
        ranks: what each holds, by rank.
        count, expected: number and fingerprint of the samples of the global batch.
    """
    shards: dict[int, Held] = {}
    for rank, held in enumerate(ranks):
        if shards.setdefault(held.shard, held) != held:
            return f"rank {rank} and another rank of shard {held.shard} were given different images"
    found = sum(held.count for held in shards.values())
    if found != count:
        return f"the shards have {found} samples, of a global batch of {count}"
    if sum(held.fingerprint for held in shards.values()) != expected:
        return f"the shards have other samples than the global batch of {count}: one twice, and one left out"
    return None
