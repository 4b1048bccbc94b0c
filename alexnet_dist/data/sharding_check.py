"""Compares the first step's samples over all ranks: no sample twice, none left out, ranks of a shard alike.

An engine that shards on its own, or not at all, would otherwise train silently on the wrong samples.
"""

from collections.abc import Iterable

import torch

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.agreement import gather_objects
from alexnet_dist.distributed.mesh import SampleShard, World


def check_samples(world: World, shard: SampleShard, batches: Iterable[MicroBatch], count: int) -> None:
    """Compare one step's samples over all ranks. Collective.

    Args:
        batches: all micro-batches of the step on this rank.
        count: samples of the step over all ranks.

    Raises:
        RuntimeError: shards overlap or miss a sample, or ranks of one shard differ; a defect, never a user's mistake.
    """
    ids, checksum = list[int](), 0.0
    for batch in batches:
        ids += batch.ids.tolist()
        checksum += float(batch.images.sum(dtype=torch.float64))
    problem = sharding_problem(gather_objects(world, (shard.index, ids, checksum)), count)
    if problem:
        raise RuntimeError(problem)


def sharding_problem(held: list[tuple[int, list[int], float]], count: int) -> str | None:
    """What is wrong with the samples of one step, or None.

    Args:
        held: by rank: its shard, the numbers of its samples, and a checksum of their images.
        count: samples of the step over all ranks.
    """
    shards: dict[int, tuple[list[int], float]] = {}
    for rank, (shard, ids, checksum) in enumerate(held):
        if shards.setdefault(shard, (ids, checksum)) != (ids, checksum):
            return f"rank {rank} and another rank of shard {shard} were given different images"
    everything = [i for ids, _ in shards.values() for i in ids]
    if len(everything) != count or len(set(everything)) != count:
        return (
            f"the shards have {len(everything)} samples, {len(set(everything))} of them different, "
            f"of a global batch of {count}"
        )
    return None
