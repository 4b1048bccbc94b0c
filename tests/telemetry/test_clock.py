"""The device's clock: events, read once the device has reached them."""

import pytest
import torch

from alexnet_dist.telemetry.clock import Clock, CudaClock, HostClock, clock_of


class Event:
    """Stands in for `torch.cuda.Event`: the device takes five milliseconds from one to the next, and does nothing
    before it is waited for."""

    given, done = 0, -1

    def __init__(self, enable_timing: bool, blocking: bool) -> None:
        assert enable_timing
        self.sleeps = blocking

    def record(self, stream: object) -> None:
        assert stream == "training"
        self.number, Event.given = Event.given, Event.given + 1

    def synchronize(self) -> None:
        assert self.sleeps, "a thread beside the training would take a core from it"
        Event.done = max(Event.done, self.number)

    def elapsed_time(self, later: "Event") -> float:
        assert max(self.number, later.number) <= Event.done, "the device has not come so far"
        return 5.0 * (later.number - self.number)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    Event.given, Event.done = 0, -1
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "training")
    return clock_of(torch.device("cuda", 0))


def test_seconds_between_marks_and_of_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the device before the intervals are asked for; a wait on another stream holds nobody up."""
    assert isinstance(clock, CudaClock) and isinstance(clock_of(torch.device("cpu")), HostClock)
    clock.mark()
    with clock.waiting():
        pass
    clock.mark()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "another")
    with clock.waiting():
        pass
    clock.mark()
    intervals = clock.intervals()
    assert Event.done == -1
    first, second = intervals()
    assert (first.seconds, first.waited) == pytest.approx((0.015, 0.005))
    assert (second.seconds, second.waited) == pytest.approx((0.005, 0.0))
    clock.mark()
    assert len(clock.intervals()()) == 1


def test_what_was_given_to_the_device_after_the_last_mark_is_waited_for(clock: Clock) -> None:
    """Copies of the step's figures."""
    clock.mark()
    given = Event.given
    clock.intervals()()
    assert Event.done >= given
