"""Evaluation that counts every test image exactly once, and checks that it did."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

from alexnet_dist.data.order import share
from alexnet_dist.training.wiring import Components


@dataclass(frozen=True)
class Evaluation:
    """Attributes:
    top1, top5: fraction of test images whose class is the first, or among the first five.
    loss: mean cross-entropy.
    unique_samples: test images that were counted, each once.
    """

    top1: float
    top5: float
    loss: float
    unique_samples: int

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.4f}, accuracy {self.top1:.2%} (top-5 {self.top5:.2%}) "
            f"on {self.unique_samples} unique images"
        )


@torch.no_grad()
def evaluate(components: Components, stops: Callable[[], bool] = lambda: False) -> Evaluation | None:
    """Accuracy and loss on the test part, or on its first `train.evaluate_samples`. Collective.

    Args:
        stops: polled after every batch: whether to give up, the same on every rank.

    Returns:
        None where it was given up.

    Raises:
        RuntimeError: an image was counted twice or not at all, which only a defect of this program can do.
    """
    test, train, shard = components.data.test, components.experiment.train, components.engine.samples
    transform = components.transform
    total = min(len(test), train.evaluate_samples or len(test))
    mine = share(total, shard.count, shard.index)
    size = max(1, train.global_batch // (shard.count * train.accumulate))
    # Every rank runs as many batches as the one with most, an empty one if need be: forward may be collective.
    longest = -(-total // shard.count)
    sums = torch.zeros(3, dtype=torch.float64, device=components.world.device)
    seen = torch.zeros(total, dtype=torch.int32)
    for start in range(mine.start, mine.start + longest, size):
        ids = torch.arange(min(start, mine.stop), min(start + size, mine.stop))
        pixels, labels = test.batch(ids)
        logits = components.engine.logits(transform(pixels))
        sums += _sums(logits.double(), labels)
        seen[ids] += 1
        if stops():
            return None
    top1, top5, loss = (_over_shards(components, sums.cpu()) / total).tolist()
    counts = _over_shards(components, seen)
    if not bool((counts == 1).all()):
        raise RuntimeError(f"{int((counts != 1).sum())} test images were not evaluated exactly once")
    return Evaluation(top1, top5, loss, unique_samples=int((counts == 1).sum()))


def _sums(logits: Tensor, labels: Tensor) -> Tensor:
    """(correct, correct among five, loss), summed over a batch; fp64 (3,)."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels.unsqueeze(1)
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    return torch.stack([best[:, 0].sum().double(), best.sum().double(), loss])


def _over_shards(components: Components, values: Tensor) -> Tensor:
    """The sum over shards; each is reported by one rank."""
    world, shard = components.world, components.engine.samples
    if world.control is not None:
        values = values if shard.speakers[shard.index] == world.rank else torch.zeros_like(values)
        dist.all_reduce(values, group=world.control)
    return values
