"""Training in the process of the check."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alexnet_dist.config.load import load
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.bring_up import shut_down
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.step import training_step
from alexnet_dist.training.wiring import Components, build, init_ranks

WARM_UP = 5  # steps: cuDNN chooses its algorithms in the first
MOST_STEPS = 1000


@dataclass
class Trained:
    """A run that keeps no folder."""

    components: Components
    meter: Meter
    batches: Iterator[MicroBatch]
    taken: int = 0

    def take(self, steps: int, batches: Iterator[MicroBatch] | None = None) -> None:
        """Take steps, on given batches or the next ones; nothing here waits for the device."""
        for _ in range(steps):
            training_step(self.components, self.taken, batches or self.batches, self.meter)
            self.taken += 1


@contextmanager
def trained(setup: Setup, *flags: str) -> Iterator[Trained]:
    """A run of one process after its warm-up, whose meter holds no step."""
    given = load([*setup.net, "--strategy.name", "single", "--train.epochs", str(MOST_STEPS), *flags])
    experiment, accelerator, world = init_ranks(given)
    try:
        components = build(experiment, accelerator, world)
        meter = Meter(world, components.engine.samples.reporting_ranks)
        run = Trained(components, meter, components.micro_batches(0, MOST_STEPS))
        run.meter.start()
        run.take(WARM_UP)
        run.meter.flush()
        yield run
    finally:  # later lines train in this process, too
        shut_down(accelerator)
