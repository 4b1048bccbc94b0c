"""Rounds without other ranks: figures come a round late, while the loop continues; checkpoints follow the clock."""

from collections.abc import Callable
from threading import Event

import pytest
import torch

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.figures import StepFigures
from alexnet_dist.telemetry.meters import Meter, NotedStep
from alexnet_dist.training.rounds import Rounds

ALONE = World(0, 1, torch.device("cpu"), None)


class SlowDevice(Meter):
    """Whoever waits for its figures waits until `came`, or a second in vain."""

    def __init__(self) -> None:
        super().__init__(ALONE, [0])
        self.came = Event()
        self.start()

    def read(self) -> Callable[[], StepFigures]:
        figures = super().read()
        return lambda: (self.came.wait(1), figures())[1]


def test_a_rounds_figures_come_when_the_next_is_over() -> None:
    meter = SlowDevice()
    rounds = Rounds(ALONE, meter, lambda: "", None)
    told = []
    for step in (1, 2):
        meter.gradients_done()
        sums = torch.tensor(2.0), torch.tensor(1)
        meter.step(NotedStep(step, *sums, samples=1, fingerprint=0, sent_bytes=0, lr=0.1, norm=None, skipped=None))
        told.append([record.step for record in rounds.step().records])
        meter.came.set()
    assert told == [[], [1]]
    assert [record.step for record in rounds.flush().records] == [2]


@pytest.mark.parametrize("seconds, saves", [(0.0, True), (3600.0, False), (None, False)])
def test_a_checkpoint_is_due_by_the_clock(seconds: float | None, saves: bool) -> None:
    assert Rounds(ALONE, Meter(ALONE, [0]), lambda: "", seconds).flush().decision.saves == saves
