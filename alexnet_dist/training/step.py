"""The whole story of one optimiser step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.data.order import fingerprint
from alexnet_dist.distributed.traffic import traffic_counter
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.optimizer import learning_rates
from alexnet_dist.training.wiring import Components


@dataclass(frozen=True)
class Traffic:
    """Bytes that this rank sent in a step, by collective: what was counted, and what the layer table says.

    Attributes:
        dtypes: the counted ones by dtype instead.
    """

    counted: dict[str, int]
    expected: dict[str, int]
    dtypes: dict[str, int]


def training_step(
    components: Components,
    step: int,
    batches: Iterator[MicroBatch],
    meter: Meter,
    inspect: Callable[[], None] | None = None,
) -> Traffic:
    """Forward, backward, update; nothing here waits for the device. Collective.

    Args:
        step: counted from 0.
        batches: this rank's micro-batches, the step's first one next.
        meter: told how the step went.
        inspect: called when the gradients are whole and not yet applied.
    """
    settings, count = components.experiment.train, components.order.count(step)
    traffic_counter().take()  # what was sent between steps belongs to none
    loss, samples, seen = torch.zeros((), device=components.layout.world.device), 0, 0
    for micro in range(settings.accumulate):
        batch = meter.wait(batches)
        with components.strategy.micro_batch_context(last=micro == settings.accumulate - 1):
            logits = components.net(batch.images, components.masks(step, batch))
            loss_sum = functional.cross_entropy(logits, batch.labels, reduction="sum")
            # Over the count of the whole global batch: so gradients of ranks and micro-steps just add up, also where
            # the short last batch of an epoch gives them unequal shares.
            components.strategy.backward(loss_sum / count)
        loss = loss + loss_sum.detach()
        samples += len(batch.rows)
        seen += fingerprint(batch.ids)
    if inspect is not None:
        inspect()
    meter.applies()
    rates = learning_rates(components.experiment.optim, components.order.epoch(step))
    result = components.strategy.apply(rates, settings.clip_norm)
    dtypes, counted = traffic_counter().dtypes(), traffic_counter().take()
    meter.step(step + 1, loss, samples, seen, sum(counted.values()), result.norm, result.skipped)
    clips = settings.clip_norm is not None
    return Traffic(counted, components.strategy.expected_traffic(components.table, samples, clips), dtypes)
