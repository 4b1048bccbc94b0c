"""The check's lines on a CPU, in their short form and by the same code; its report; a machine without a GPU."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from conftest import ROOT
from replaced_gpus import A100, GTX_1080, OLD_DRIVER, ONE, V100, Machine
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from alexnet_dist.cli import main
from alexnet_dist.gpu_check import check, on_ranks
from alexnet_dist.gpu_check.check import SECONDS, run_lines
from alexnet_dist.gpu_check.lines import LINES
from alexnet_dist.gpu_check.report import CheckReport
from alexnet_dist.gpu_check.results import append, read
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.gpu_check.trained import trained
from alexnet_dist.training.loop import FIRST_STEPS_TIMEOUT

SCRIPT = str(ROOT / "launch/gpu_check.sh")


def test_every_line_that_a_cpu_can_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In three parts at once: one line mostly waits, and one compiles, with what earlier runs of it have compiled."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())
    apart = [("training", "stopped rank"), ("compiled",)]
    patient = [replace(line, limit=400.0) for line in LINES]
    others = [line for line in patient if line.name not in chain(*apart)]
    parts = [others, *([line for line in patient if line.name in names] for names in apart)]
    reports = [CheckReport(tmp_path / f"{number}.json") for number in range(len(parts))]
    with ThreadPoolExecutor(len(parts)) as pool:
        run = partial(run_lines, "cpu", form="small", seconds=900.0)
        found = list(pool.map(run, [report.changed for report in reports], parts))
    assert {entry["name"]: entry["result"] for entry in chain(*found)} == {
        line.name: "not possible" if "NCCL" in line.name else "passed" for line in LINES
    }, found
    for number, (report, results) in enumerate(zip(reports, found, strict=True)):
        assert report.good and json.loads((tmp_path / f"{number}.json").read_text())["lines"] == results
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 100
    assert {text[:17].strip() for text in shown if text[0] != " "} == {line.name for line in LINES}


def test_lines_that_fail_or_take_too_long_do_not_stop_the_rest(tmp_path: Path) -> None:
    late = next(replace(line, limit=0.0) for line in LINES if line.name == "training")
    report = CheckReport(tmp_path / "check.json")
    results = run_lines("cpu", report.changed, [late, LINES[-1]], form="small")  # NCCL's, which a CPU answers at once
    assert [entry["result"] for entry in results] == ["failed", "not possible"] and not report.good


def test_when_the_time_is_over_the_rest_is_not_reached(tmp_path: Path) -> None:
    report = CheckReport(tmp_path / "check.json")
    results = run_lines("cpu", report.changed, LINES[:2], form="small", seconds=0.0)
    assert [entry["result"] for entry in results] == ["not reached"] * 2 and not report.good


INTERRUPTED = """
import sys
from alexnet_dist.gpu_check.check import run_lines
from alexnet_dist.gpu_check.lines import LINES

(norm,) = (line for line in LINES if line.name == "norm")
run_lines("cpu", lambda entries: print("running", flush=True) if entries else None, [norm], "small")
"""


@pytest.mark.processes
def test_a_signal_leaves_no_file_and_no_process(tmp_path: Path) -> None:
    line, environment = [sys.executable, "-c", INTERRUPTED], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as check:
        assert check.stdout is not None and check.stdout.readline() == "running\n"
        started = psutil.Process(check.pid).children(recursive=True)
        assert started and list(tmp_path.iterdir())
        check.send_signal(signal.SIGTERM)
        check.stdout.read()
    assert check.returncode != 0 and list(tmp_path.iterdir()) == []
    assert not any(process.is_running() for process in started)


def test_how_long_a_worker_takes_to_start_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line whose limit is shorter than that passes, unless the start takes too long, too."""
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\nsleep 2\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    quick = replace(LINES[-1], limit=1.5)  # NCCL's, which a CPU answers at once
    assert [entry["result"] for entry in run_lines("cpu", lambda entries: None, [quick], "small")] == ["not possible"]
    monkeypatch.setattr(check, "STARTING", 0.5)
    (entry,) = run_lines("cpu", lambda entries: None, [quick], "small")
    assert entry["result"] == "failed" and entry["reason"].startswith("not finished within")


def test_a_worker_that_dies_is_a_line_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    results = run_lines("cpu", lambda entries: None, LINES[:2], form="small")
    assert [(entry["result"], entry["reason"]) for entry in results] == [("failed", "ended with exit code 1")] * 2


def test_what_a_line_has_found_is_reported_before_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it is cut in the middle of a word."""
    results, output = tmp_path / "results", tmp_path / "check.json"
    report = CheckReport(output)
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
    "machine, result, code",
    [
        (ONE, "passed", 0),
        (ONE, "not possible", 0),
        (ONE, "failed", 1),
        (OLD_DRIVER, "", 2),
        (Machine((GTX_1080,)), "", 2),
    ],
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


@pytest.mark.parametrize("gpu, half", [(A100, "bf16"), (V100, "fp16")])
def test_steps_are_measured_in_a_precision_that_the_gpu_multiplies(
    gpu: str, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A V100 emulates bf16: no line that computes in it would be done in time."""
    Machine((gpu,)).replace(monkeypatch)
    assert Setup(torch.device("cuda", 0)).half == half
    assert Setup(torch.device("cpu")).half == "bf16"


def test_all_lines_together_take_less_than_eight_minutes() -> None:
    """The last three may be cut short: what they try has been seen on a GPU, or can be done without."""
    assert SECONDS < 480 and sum(line.limit for line in LINES[:-3]) < SECONDS


def test_a_stopped_rank_may_be_noticed_after_ten_times_the_first_step() -> None:
    """That has four seconds: cuDNN and Triton are loaded in it. Before it ranks start, in 15 s on a GPU's machine."""
    (line,) = (line for line in LINES if line.name == "stopped rank")
    assert line.limit >= 15 + FIRST_STEPS_TIMEOUT * 4 + 15


def test_without_deepspeed_zero_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ranks, "find_spec", lambda name: None)
    monkeypatch.setattr(on_ranks, "_parities", lambda groups: iter(groups))
    found = list(on_ranks.over_gloo(Setup(torch.device("cpu"))))
    assert found == [("zero2", "not tried: DeepSpeed is not installed"), ["ddp", "ddp:bf16", "split"], ["fsdp"]]


def test_without_a_gpu_it_is_one_line_and_the_list_is_shown() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: GPU: none: ")
    listed = subprocess.run([SCRIPT, "--list"], capture_output=True, text=True, timeout=100, check=True).stdout
    assert [text.split("  ")[1] for text in listed.splitlines()] == [line.name for line in LINES]
