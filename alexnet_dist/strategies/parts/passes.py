"""Passes through a module: a step's micro-batches forward and backward, one after the other; images in evaluation."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from torch import Tensor, nn
from torch.nn import functional

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.strategies.engines.base import Masks, StepSums


def accumulate(
    module: nn.Module,
    batches: Iterable[tuple[MicroBatch, Masks]],
    micro_batches: int,
    count: int,
    context: Callable[[bool], AbstractContextManager[object]],
    backward: Callable[[Tensor], None],
) -> StepSums:
    """Add up the gradients of a step.

    Args:
        module: (images, masks) -> logits.
        micro_batches: how many there are.
        count: samples of the step over all ranks. Losses are divided by it, so gradients of ranks and micro-batches add
            up to those of the mean, also where the short last batch of an epoch gives them unequal shares.
        context: surrounds each forward and backward; its argument says whether that is the last.
        backward: adds the gradients of a loss.

    Returns:
        Over the samples of all micro-batches.
    """
    sums: StepSums | None = None
    for number, (batch, masks) in enumerate(batches, start=1):
        with context(number == micro_batches):
            logits = module(batch.images, masks)
            loss_sum = functional.cross_entropy(logits, batch.labels, reduction="sum")
            backward(loss_sum / count)
        loss, correct = loss_sum.detach(), (logits.detach().argmax(1) == batch.labels).sum()
        sums = StepSums(loss, correct) if sums is None else StepSums(sums.loss + loss, sums.correct + correct)
    assert sums is not None, "a step has at least one micro-batch"
    return sums


def evaluated(module: nn.Module, images: Tensor) -> Tensor:
    """Logits without dropout of a module that is in training mode, before and after."""
    module.eval()
    logits: Tensor = module(images)
    module.train()
    return logits
