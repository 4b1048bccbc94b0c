"""Evaluation that counts every test image exactly once, and checks that it did."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alexnet_dist.costs.units import loss_text
from alexnet_dist.data.dataset import UNREAD
from alexnet_dist.data.order import fingerprint, share
from alexnet_dist.distributed.agreement import combined
from alexnet_dist.errors import RankFailed
from alexnet_dist.training.wiring import Components


@dataclass(frozen=True)
class Evaluation:
    """Accuracy and loss on test images.

    Attributes:
        top1, top5: fraction of test images whose class is the first, or among the first five.
        loss: mean cross-entropy.
        unique_samples: test images that were counted, each once; those that cannot be read are not among them.
    """

    top1: float
    top5: float
    loss: float
    unique_samples: int

    def __str__(self) -> str:
        return (
            f"loss {loss_text(self.loss)}, accuracy {self.top1:.2%} (top-5 {self.top5:.2%}) "
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
        RuntimeError: an image was evaluated twice or not at all, which only a defect of this program can do.
        RankFailed: no image can be read.
    """
    test, train, shard = components.data.test, components.experiment.train, components.engine.samples
    transform = components.transform
    total = min(len(test), train.evaluate_samples or len(test))
    mine = share(total, shard.count, shard.index)
    size = max(1, train.global_batch // (shard.count * train.accumulate))
    # Every rank runs as many batches as the one with most, an empty one if need be: forward may be collective.
    longest = -(-total // shard.count)
    sums = torch.zeros(4, dtype=torch.float64, device=components.world.device)
    count, seen = 0, 0  # of this rank's images: how many, and their fingerprint
    for start in range(mine.start, mine.start + longest, size):
        ids = torch.arange(min(start, mine.stop), min(start + size, mine.stop))
        pixels, labels = test.batch(ids)
        inputs = [transform(pixels)] if train.evaluate_views == 1 else transform.views(pixels)
        sums += _sums(_averaged([components.engine.logits(images).double() for images in inputs]), labels)
        count, seen = count + len(ids), seen + fingerprint(ids)
        if stops():
            return None
    *measured, evaluated, fingerprints = _over_shards(components, np.array([*sums.tolist(), count, seen])).tolist()
    if (evaluated, fingerprints) != (total, fingerprint(torch.arange(total))):
        raise RuntimeError(f"{evaluated:.0f} test images were evaluated, and not each of {total} exactly once")
    top1, top5, loss, read = measured
    if not read:
        raise RankFailed(f"none of the {total} test images can be read")
    return Evaluation(top1 / read, top5 / read, loss / read, unique_samples=int(read))


def _averaged(views: list[Tensor]) -> Tensor:
    """Logits of several views of the same images as those of their average probabilities."""
    if len(views) == 1:
        return views[0]
    return torch.stack([logits.log_softmax(1) for logits in views]).logsumexp(0) - math.log(len(views))


def _sums(logits: Tensor, labels: Tensor) -> Tensor:
    """(correct, correct among five, loss, images), summed over a batch's images that could be read; fp64 (4,)."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels.unsqueeze(1)
    loss = functional.cross_entropy(logits, labels, reduction="sum", ignore_index=UNREAD)
    return torch.stack([best[:, 0].sum().double(), best.sum().double(), loss, (labels != UNREAD).sum().double()])


def _over_shards(components: Components, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over shards; each is reported by one rank. Collective."""
    world, shard = components.world, components.engine.samples
    reports = shard.reporting_ranks[shard.index] == world.rank
    return combined(world, values if reports else np.zeros_like(values), np.add)
