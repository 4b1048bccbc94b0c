"""One optimizer step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.traffic_counter import traffic_counter
from alexnet_dist.strategies.engines.base import Masks
from alexnet_dist.telemetry.meters import Meter, NotedStep
from alexnet_dist.training.optimizers import WEIGHTS
from alexnet_dist.training.schedules import learning_rates
from alexnet_dist.training.wiring import Components


@dataclass(frozen=True)
class Traffic:
    """Bytes that this rank sent in a step, by collective.

    Attributes:
        counted: at the process groups.
        expected: from the layer table.
        dtypes: the counted bytes, by dtype instead of by collective.
    """

    counted: dict[str, int]
    expected: dict[str, int]
    dtypes: dict[str, int]


class _StepBatches:
    """Yields a step's micro-batches with their masks, and records how many samples they held, and which."""

    def __init__(self, components: Components, step: int, batches: Iterator[MicroBatch], meter: Meter) -> None:
        self._components, self._step, self._batches, self._meter = components, step, batches, meter
        self.samples = 0
        self.fingerprint = 0

    def __iter__(self) -> Iterator[tuple[MicroBatch, Masks]]:
        for _ in range(self._components.experiment.train.accumulate):
            batch = self._meter.wait(self._batches)
            self.samples += len(batch.rows)
            self.fingerprint += self._components.order.fingerprint(batch.ids)
            yield batch, self._components.masks(self._step, batch)


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
        meter: measures the step.
        inspect: called when the gradients are complete and not yet applied.
    """
    traffic_counter().take()  # what was sent between steps belongs to none
    taken = _StepBatches(components, step, batches, meter)
    sums = components.engine.forward_backward(taken, components.order.count(step))
    if inspect is not None:
        inspect()
    meter.gradients_done()
    rates = learning_rates(components.experiment.optim, components.position(step))
    result = components.engine.apply(rates, components.experiment.train.clip_norm)
    dtypes, counted = traffic_counter().dtypes(), traffic_counter().take()
    noted = NotedStep(
        step=step + 1,
        loss_sum=sums.loss,
        correct=sums.correct,
        samples=taken.samples,
        fingerprint=taken.fingerprint,
        sent_bytes=sum(counted.values()),
        lr=rates[WEIGHTS],
        norm=result.norm,
        skipped=result.skipped,
    )
    meter.step(noted)
    return Traffic(counted, components.expected_traffic(taken.samples), dtypes)
