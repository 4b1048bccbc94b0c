"""The check's lines on a CPU, in their short form and by the same code; its report; a machine without a GPU."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from replaced_gpus import OLD_DRIVER, ONE, Machine

from alexnet_dist.cli import main
from alexnet_dist.gpu_check import check
from alexnet_dist.gpu_check.check import report, run_lines
from alexnet_dist.gpu_check.lines import LINES
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.gpu_check.trained import trained

SCRIPT = str(ROOT / "launch/gpu_check.sh")


def test_every_line_that_a_cpu_can_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[str] = []
    patient = [replace(line, limit=300.0) for line in LINES]
    results = run_lines("cpu", begun.append, patient, form="small")
    assert begun == [line.name for line in LINES]
    assert {entry["name"]: entry["result"] for entry in results} == {
        line.name: "not possible" if "NCCL" in line.name else "passed" for line in LINES
    }, results
    assert report(results, tmp_path / "check.json")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100 and all(line.name.split(",")[0] in shown for line in LINES)
    assert json.loads((tmp_path / "check.json").read_text())["lines"] == results


def test_lines_that_fail_or_take_too_long_do_not_stop_the_rest(tmp_path: Path) -> None:
    machine = LINES[0]
    wrong = replace(machine, name="training", limit=0.0)
    results = run_lines("cpu", lambda name: None, [wrong, replace(machine, limit=100.0)], form="small")
    assert [entry["result"] for entry in results] == ["failed", "passed"]
    assert not report(results, tmp_path / "check.json")


def test_the_line_behind_one_that_fails_trains_in_the_same_process(one_process: None) -> None:
    setup = Setup(torch.device("cpu"), small=True)
    with pytest.raises(ArithmeticError), trained(setup):
        raise ArithmeticError
    with trained(setup, "--train.precision", "bf16") as run:
        run.take(1)


@pytest.mark.parametrize(
    "machine, result, code", [(ONE, "passed", 0), (ONE, "not possible", 0), (ONE, "failed", 1), (OLD_DRIVER, "", 2)]
)
def test_the_exit_code(machine: Machine, result: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.replace(monkeypatch)
    devices: list[str] = []
    entry = {"name": "machine", "result": result, "seconds": 1.0, "figures": {}, "reason": "", "traceback": ""}

    def run_lines(device: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
        devices.append(device)
        return [entry]

    monkeypatch.setattr(check, "run_lines", run_lines)
    assert main(["gpu_check"]) == code and devices == (["cuda:0"] if result else [])


def test_all_lines_together_take_less_than_eight_minutes() -> None:
    assert sum(line.limit for line in LINES) < 480


def test_without_a_gpu_it_is_one_line_and_the_list_is_shown() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: GPU: none: ")
    listed = subprocess.run([SCRIPT, "--list"], capture_output=True, text=True, timeout=100, check=True).stdout
    assert [text.split("  ")[1] for text in listed.splitlines()] == [line.name for line in LINES]
