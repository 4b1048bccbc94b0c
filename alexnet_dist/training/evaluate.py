"""Evaluation that counts every test image exactly once, and proves it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

from alexnet_dist.data.order import share
from alexnet_dist.data.transforms import prepare
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
            f"top-1 {self.top1:.4f}  top-5 {self.top5:.4f}  loss {self.loss:.4f}  "
            f"on {self.unique_samples} unique test images"
        )


@torch.no_grad()
def evaluate(components: Components, stops: Callable[[], bool] = lambda: False) -> Evaluation | None:
    """Accuracy and loss on the whole test part. Collective.

    Args:
        stops: asked after every batch whether to give up, with the same answer on every rank.

    Returns:
        None where it was given up.

    Raises:
        RuntimeError: an image was counted twice or not at all, which only a defect of this program can do.
    """
    images, layout = components.data.test, components.layout
    mine = share(len(images), layout.dp_size, layout.dp_index)
    train = components.experiment.train
    size = max(1, train.global_batch // (layout.dp_size * train.accumulate))
    # Every rank runs as many batches as the one with most, an empty one if need be: a strategy may talk in forward.
    longest = -(-len(images) // layout.dp_size)
    sums = torch.zeros(3, dtype=torch.float64, device=layout.world.device)
    seen = torch.zeros(len(images), dtype=torch.int32)
    for start in range(mine.start, mine.start + longest, size):
        rows = slice(min(start, mine.stop), min(start + size, mine.stop))
        logits = components.net(prepare(images.pixels[rows], components.table.size, components.dtypes.compute), None)
        sums += _sums(logits.double(), images.labels[rows])
        seen[rows] += 1
        if stops():
            return None
    top1, top5, loss = (_over_replicas(components, sums.cpu()) / len(images)).tolist()
    counts = _over_replicas(components, seen)
    if not bool((counts == 1).all()):
        raise RuntimeError(f"{int((counts != 1).sum())} test images were not evaluated exactly once")
    return Evaluation(top1, top5, loss, unique_samples=int((counts == 1).sum()))


def _sums(logits: Tensor, labels: Tensor) -> Tensor:
    """(correct, correct among five, loss), summed over a batch."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels.unsqueeze(1)
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    return torch.stack([best[:, 0].sum().double(), best.sum().double(), loss])


def _over_replicas(components: Components, values: Tensor) -> Tensor:
    """Sum over replicas: of each, the first tower's rank speaks."""
    layout = components.layout
    if layout.world.control is not None:
        values = values if layout.split_index == 0 else torch.zeros_like(values)
        dist.all_reduce(values, group=layout.world.control)
    return values
