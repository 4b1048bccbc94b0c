"""How the check tells the device's time from the host's, with the device's answers replaced."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from alexnet_dist.gpu_check import on_steps
from alexnet_dist.gpu_check.setup import Setup

CALLS: list[str] = []


@pytest.mark.parametrize("held, expected", [(True, "3.50 ms"), (False, "3.50 ms or less: it waited for the host")])
def test_the_device_begins_when_all_steps_are_queued(
    held: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    CALLS.clear()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            CALLS.append("record")

        def query(self) -> bool:
            """Whether the device has come here already: the first event, which stands before all steps."""
            return not held

        def synchronize(self) -> None:
            CALLS.append("synchronize")

        def elapsed_time(self, end: Any) -> float:
            return 7.0

    def take(steps: int, batches: Iterator[str]) -> None:
        CALLS.append(f"{steps} steps: {', '.join(batches)}")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: CALLS.append("hold"))
    run: Any = SimpleNamespace(take=take)
    batches: Any = ["a", "b"]
    assert on_steps._device_ms(Setup(torch.device("cuda", 0)), run, batches) == expected
    assert CALLS == ["hold", "record", "2 steps: a, b", "record", "synchronize"]
