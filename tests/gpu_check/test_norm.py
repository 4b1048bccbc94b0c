"""When the norm's line gives its figures, with the processes that compare replaced."""

import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest
import torch

from alexnet_dist.gpu_check import norm
from alexnet_dist.gpu_check.setup import Setup, Wrong
from alexnet_dist.kernels import check

SETUP = Setup(torch.device("cpu"), small=True)
EACH = len(list(check.cases(SETUP.device, 16))) // 4  # cases of a dtype


def test_a_dtype_is_shown_when_its_cases_are_compared_and_the_rest_when_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Event()

    def compare(setup: Setup, part: int, parts: int, queue: "SimpleQueue[norm.Found | str]") -> None:
        for error in (0.5, *[0.25] * (EACH - 1)):
            queue.put(("torch.float64", "a case", error))
        try:
            assert shown.wait(60)
            queue.put(("torch.float32", "a wrong case", 3.0))
        finally:
            queue.put("process 0: not finished within 50 s")

    monkeypatch.setattr(norm, "_compare", compare)
    figures = norm.norm(SETUP)
    assert next(figures) == ("torch.float64", f"0.50 of the tolerance at most, {EACH} cases")
    shown.set()
    assert next(figures) == ("torch.float32", f"3.00 of the tolerance at most, 1 case of {EACH}")
    assert [name for name, _ in (next(figures), next(figures))] == ["torch.bfloat16", "torch.float16"]
    with pytest.raises(Wrong, match=r"a wrong case: 3.0 times the tolerance; process 0: not finished within 50 s"):
        next(figures)


def test_processes_that_fail_and_one_that_takes_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ends(device: str) -> str | norm.Found:
        queue = SimpleQueue[norm.Found | str]()
        norm._compare(Setup(torch.device(device), small=True), 0, 1, queue)
        return queue.get()

    assert str(ends("privateuseone")).startswith("process 0: ModuleNotFoundError: ")
    with monkeypatch.context() as noisy:
        (tmp_path / "sitecustomize.py").write_text('print("welcome")')
        noisy.setenv("PYTHONPATH", str(tmp_path))
        assert str(ends("cpu")).startswith("process 0: JSONDecodeError: ")
    with monkeypatch.context() as nothing:
        nothing.setattr(sys, "executable", str(tmp_path / "missing"))
        assert str(ends("cpu")).startswith("process 0: No such file or directory: ")
    monkeypatch.setattr(norm, "PATIENCE_SMALL", 0.0)
    assert ends("cpu") == "process 0: not finished within 0 s"
