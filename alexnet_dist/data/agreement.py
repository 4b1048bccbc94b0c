"""The first step's samples, compared over the ranks: the check that would have caught silent double sharding."""

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.layout.agreement import gather_objects
from alexnet_dist.layout.layout import Layout


def check_samples(layout: Layout, batches: list[MicroBatch], count: int) -> None:
    """Replicas must hold disjoint parts of the global batch, towers of one replica the same images. Collective.

    Args:
        layout: this rank's place.
        batches: all micro-batches of one step on this rank.
        count: samples of that step over all ranks.

    Raises:
        RuntimeError: they do not; a defect of this program or of its set-up, never the user's.
    """
    ids = [i for batch in batches for i in batch.ids.tolist()]
    checksum = sum(float(batch.images.double().sum()) for batch in batches)
    seen: dict[int, tuple[list[int], float]] = {}
    for rank, (dp_index, theirs) in enumerate(gather_objects(layout.world, (layout.dp_index, (ids, checksum)))):
        if seen.setdefault(dp_index, theirs) != theirs:
            raise RuntimeError(f"rank {rank} and another tower of replica {dp_index} were given different images")
    everything = [i for part, _ in seen.values() for i in part]
    if len(everything) != count or len(set(everything)) != count:
        raise RuntimeError(
            f"replicas were given {len(everything)} samples, {len(set(everything))} of them "
            f"different, of a global batch of {count}"
        )
