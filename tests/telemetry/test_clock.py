"""The device's clock: events, read when the device has come so far."""

from collections.abc import Iterator
from itertools import count

import pytest
import torch

from alexnet_dist.telemetry.clock import Clock, CudaClock, HostClock, clock_of


class Event:
    """Stands in for `torch.cuda.Event`: the device reaches one every five milliseconds, and all when waited for."""

    reached = False
    numbers: Iterator[int]

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self, stream: object) -> None:
        assert stream == "training"
        self.milliseconds = 5.0 * next(Event.numbers)

    def synchronize(self) -> None:
        Event.reached = True

    def elapsed_time(self, later: "Event") -> float:
        assert Event.reached, "the device has not come so far"
        return later.milliseconds - self.milliseconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    Event.reached, Event.numbers = False, count()
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "training")
    return clock_of(torch.device("cuda", 0))


def test_seconds_between_marks_and_of_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the device before the lapses are asked for; a wait on another stream holds nobody up."""
    assert isinstance(clock, CudaClock) and isinstance(clock_of(torch.device("cpu")), HostClock)
    clock.mark()
    with clock.waiting():
        pass
    clock.mark()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "another")
    with clock.waiting():
        pass
    clock.mark()
    lapses = clock.lapses()
    assert not Event.reached
    first, second = lapses()
    assert (first.seconds, first.waited) == pytest.approx((0.015, 0.005))
    assert (second.seconds, second.waited) == pytest.approx((0.005, 0.0))
    clock.mark()
    assert [lapse.seconds for lapse in clock.lapses()()] == pytest.approx([0.005])
