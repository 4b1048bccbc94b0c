"""How the check tells the device's time from the host's, with the device's answers replaced."""

import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from alexnet_dist.gpu_check import on_steps
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.gpu_check.trained import Trained

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


def test_the_rate_is_that_of_a_second_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty of a GPU's steps are over before its clock has settled."""
    monkeypatch.setattr(on_steps, "training_operations", lambda table: 0)
    taken: list[int] = []

    def flush() -> list[SimpleNamespace]:
        seconds = 0.005 if len(taken) > 1 else 0.010
        return [SimpleNamespace(samples=10, seconds=seconds)] * taken[-1]

    run: Any = SimpleNamespace(
        take=taken.append, meter=SimpleNamespace(flush=flush), components=SimpleNamespace(table=None)
    )
    assert on_steps._rate(Setup(torch.device("cpu")), run) == "2,000 images/s" and taken == [20, 100]


def test_a_batch_that_does_not_fit_is_said_so_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(setup: Setup, *flags: str) -> str:
        if "1024" in flags:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 …")
        return "measured"

    monkeypatch.setattr(on_steps, "_rate_and_parts", measured)
    found = dict(on_steps.speed(Setup(torch.device("cpu"))))
    assert len(found) == 6
    assert {figure for name, figure in found.items() if "1024" in name} == {
        "does not fit (2.00 GiB more were asked for)"
    }
    assert {figure for name, figure in found.items() if "1024" not in name} == {"measured"}


def test_an_error_that_is_no_lack_of_memory_fails_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(setup: Setup, *flags: str) -> str:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(on_steps, "_rate_and_parts", measured)
    with pytest.raises(RuntimeError, match="illegal"):
        list(on_steps.speed(Setup(torch.device("cpu"))))


def test_a_run_that_was_measured_holds_no_memory(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is to fit a small GPU's, too."""
    setup, nets = Setup(torch.device("cpu"), small=True), []

    def rate(setup: Setup, run: Trained) -> str:
        nets.append(weakref.ref(run.components.engine))
        return ""

    monkeypatch.setattr(on_steps, "_rate", rate)
    monkeypatch.setattr(on_steps, "_parts", lambda *given: "")
    on_steps._rate_and_parts(setup)
    setup.settle()
    assert nets[0]() is None
