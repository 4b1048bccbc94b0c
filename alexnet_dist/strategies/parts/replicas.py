"""Replicas of a net: gradients summed over the `dp` axis, in the dtype that the user wants on the wire."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import GradBucket, ProcessGroup  # type: ignore[attr-defined]
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from alexnet_dist.distributed.mesh import Layout


def replicate(net: nn.Module, layout: Layout, wire: torch.dtype) -> DistributedDataParallel:
    """Wrap a net that is on its device so that backward sums gradients over replicas. Collective.

    DDP's own reduction averages over the group; ours sums, because a loss is already divided by the samples of
    the whole global batch, and replicas' shares of it may differ.

    Args:
        wire: dtype of gradients on the wire.
    """
    cuda = layout.world.device.type == "cuda"
    replicas = DistributedDataParallel(
        net,
        device_ids=[layout.world.device] if cuda else None,
        process_group=layout.dp_group,
        gradient_as_bucket_view=True,
    )
    replicas.register_comm_hook(layout.dp_group, _sum_in(wire))
    return replicas


def _sum_in(wire: torch.dtype) -> Callable[[ProcessGroup, GradBucket], Future[Tensor]]:
    under_way: list[dist.Work] = []

    def hook(group: ProcessGroup, bucket: GradBucket) -> Future[Tensor]:
        gradients = bucket.buffer()
        sent = gradients.to(wire)
        work = dist.all_reduce(sent, group=group, async_op=True)
        assert work is not None
        under_way.append(work)
        if bucket.is_last():
            # Backward is over, and DDP would wait now, in C++: waited for here, it is noticed (`distributed.waits`).
            for earlier in under_way:
                earlier.wait()
            under_way.clear()
        summed: Future[list[Tensor]] = work.get_future()
        # `to` returns the buffer itself where it has the wire dtype already: then there is nothing to copy back.
        return summed.then(lambda _: gradients if sent is gradients else gradients.copy_(sent))

    return hook
