"""The check's lines on a CPU, in their short form and by the same code; its report; a machine without a GPU."""

import json
import subprocess
import sys
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
from alexnet_dist.gpu_check.check import SECONDS, run_lines
from alexnet_dist.gpu_check.lines import LINES
from alexnet_dist.gpu_check.report import Report
from alexnet_dist.gpu_check.results import append, read
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.gpu_check.trained import trained

SCRIPT = str(ROOT / "launch/gpu_check.sh")


def test_every_line_that_a_cpu_can_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path / "check.json")
    patient = [replace(line, limit=300.0) for line in LINES]
    results = run_lines("cpu", report.changed, patient, form="small", seconds=900.0)
    assert {entry["name"]: entry["result"] for entry in results} == {
        line.name: "not possible" if "NCCL" in line.name else "passed" for line in LINES
    }, results
    assert report.good and json.loads((tmp_path / "check.json").read_text())["lines"] == results
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 100
    assert [text[:17].strip() for text in shown if text[0] != " "] == [line.name for line in LINES]


def test_lines_that_fail_or_take_too_long_do_not_stop_the_rest(tmp_path: Path) -> None:
    machine = LINES[0]
    wrong = replace(machine, name="training", limit=0.0)
    report = Report(tmp_path / "check.json")
    results = run_lines("cpu", report.changed, [wrong, replace(machine, limit=100.0)], form="small")
    assert [entry["result"] for entry in results] == ["failed", "passed"] and not report.good


def test_when_the_time_is_over_the_rest_is_not_reached(tmp_path: Path) -> None:
    report = Report(tmp_path / "check.json")
    results = run_lines("cpu", report.changed, LINES[:2], form="small", seconds=0.0)
    assert [entry["result"] for entry in results] == ["not reached"] * 2 and not report.good


def test_a_worker_that_dies_is_a_line_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    results = run_lines("cpu", lambda entries: None, LINES[:2], form="small")
    assert [(entry["result"], entry["reason"]) for entry in results] == [("failed", "ended with exit code 1")] * 2


def test_what_a_line_has_found_is_reported_before_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it is cut in the middle of a word."""
    results, output = tmp_path / "results", tmp_path / "check.json"
    report = Report(output)
    for figures, values in (({}, {}), ({"batch 128": "14 images/s"}, {}), ({}, {"result": "failed", "reason": "why"})):
        append(results, "step", figures, **values)
        report.changed(read(results))
        assert json.loads(output.read_text())["lines"] == read(results)
    with results.open("a") as file:
        file.write('{"name": "norm", "fig')
    assert [entry["name"] for entry in read(results)] == ["step"]
    lines = capsys.readouterr().out.splitlines()
    assert [text.split() for text in lines] == [
        ["step", "batch", "128:", "14", "images/s"], ["failed", "after", "0", "s:", "why"]
    ]  # fmt: skip


def test_the_line_behind_one_that_fails_trains_in_the_same_process(one_process: None) -> None:
    setup = Setup(torch.device("cpu"), small=True)
    with pytest.raises(ArithmeticError), trained(setup):
        raise ArithmeticError
    with trained(setup, "--train.precision", "bf16") as run:
        run.take(1)


@pytest.mark.parametrize(
    "machine, result, code", [(ONE, "passed", 0), (ONE, "not possible", 0), (ONE, "failed", 1), (OLD_DRIVER, "", 2)]
)
def test_the_exit_code(
    machine: Machine, result: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.replace(monkeypatch)
    monkeypatch.chdir(tmp_path)
    devices: list[str] = []
    entry = {"name": "machine", "result": result, "seconds": 1.0, "figures": {}, "reason": "", "traceback": ""}

    def run_lines(device: str, changed: Callable[[list[dict[str, Any]]], None]) -> None:
        devices.append(device)
        changed([entry])

    monkeypatch.setattr(check, "run_lines", run_lines)
    assert main(["gpu_check"]) == code and devices == (["cuda:0"] if result else [])


def test_all_lines_together_take_less_than_eight_minutes() -> None:
    assert SECONDS < 480 and sum(line.limit for line in LINES[:-2]) < SECONDS


def test_without_a_gpu_it_is_one_line_and_the_list_is_shown() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: GPU: none: ")
    listed = subprocess.run([SCRIPT, "--list"], capture_output=True, text=True, timeout=100, check=True).stdout
    assert [text.split("  ")[1] for text in listed.splitlines()] == [line.name for line in LINES]
