"""The first step's samples, compared over the ranks: the check that would have caught silent double sharding."""

from collections.abc import Iterable

import torch

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.agreement import gather_objects
from alexnet_dist.distributed.mesh import Layout


def check_samples(layout: Layout, batches: Iterable[MicroBatch], count: int) -> None:
    """Replicas must hold disjoint parts of the global batch, towers of one replica the same images. Collective.

    Args:
        layout: this rank's place.
        batches: all micro-batches of one step on this rank.
        count: samples of that step over all ranks.

    Raises:
        RuntimeError: they do not; a defect of this program or of its set-up, never the user's.
    """
    ids, checksum = list[int](), 0.0
    for batch in batches:
        ids += batch.ids.tolist()
        checksum += float(batch.images.sum(dtype=torch.float64))
    problem = disagreement(gather_objects(layout.world, (layout.dp_index, ids, checksum)), count)
    if problem:
        raise RuntimeError(problem)


def disagreement(held: list[tuple[int, list[int], float]], count: int) -> str | None:
    """What is wrong with the samples of one step, or None.

    Args:
        held: by rank: its replica, the numbers of its samples, and a checksum of their images.
        count: samples of the step over all ranks.
    """
    replicas: dict[int, tuple[list[int], float]] = {}
    for rank, (replica, ids, checksum) in enumerate(held):
        if replicas.setdefault(replica, (ids, checksum)) != (ids, checksum):
            return f"rank {rank} and another tower of replica {replica} were given different images"
    everything = [i for ids, _ in replicas.values() for i in ids]
    if len(everything) != count or len(set(everything)) != count:
        return (
            f"replicas were given {len(everything)} samples, {len(set(everything))} of them different, "
            f"of a global batch of {count}"
        )
    return None
