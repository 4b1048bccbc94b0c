"""The bench measures what it says, on real programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_dist.bench.benchmarks import SMALL, Benchmark
from alexnet_dist.bench.measure import Result, measure
from alexnet_dist.bench.programs import WARM_UP, Settings, TrainingRun
from alexnet_dist.cli import main
from alexnet_dist.telemetry.run_files import read_metrics
from alexnet_dist.telemetry.throughput import images_per_second

TWO_STEPS = ("--data.name", "synthetic", "--train.max_steps", str(WARM_UP + 2))
SMALLEST = TrainingRun(1, (*SMALL, *TWO_STEPS))


def test_a_training_run_is_measured_by_the_common_definition(tmp_path: Path) -> None:
    rate = SMALLEST.rate(Settings(steps=2, batch=8, precision="fp32"), tmp_path)
    steps = read_metrics(tmp_path / "run")
    assert len(steps) == WARM_UP + 2
    assert rate == images_per_second([8, 8], [step["rank_seconds"] for step in steps[WARM_UP:]]) > 0


def test_the_two_programs_take_turns() -> None:
    said: list[str] = []
    benchmark = Benchmark("small / small", SMALLEST, SMALLEST, 0.1, 1e9, scale=3.0)
    (result,) = measure([benchmark], 2, Settings(steps=2, batch=8, precision="fp32"), said.append)
    assert [text.rsplit(" ", 1)[1] for text in said] == ["ours", "other", "other", "ours"]
    assert len(result.ours) == len(result.other) == 2 and result.verdict == "must"


def test_a_verdict_is_of_the_median_round() -> None:
    benchmark = Benchmark("a / b", SMALLEST, SMALLEST, 0.5, 0.9)
    for ours, verdict in (([1.0, 1.0, 0.1], "met"), ([0.6, 0.6, 2.0], "must"), ([0.4, 0.4, 2.0], "missed")):
        assert Result(benchmark, ours, [1.0, 1.0, 1.0]).verdict == verdict


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest benchmark there is, against a written-out loop: one round of two steps."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # the command sets it: undone afterwards
    assert main(["bench", "--only", "a bare loop", "--rounds", "1", "--steps", "2", "--batch", "2"]) == 0
    shown = capsys.readouterr().out
    assert "our loop / a bare loop" in shown and max(map(len, shown.splitlines())) <= 100
    assert any(verdict in shown for verdict in ("met", "must", "missed"))


def test_the_rate_of_matrix_products(tmp_path: Path) -> None:
    """As compare and the bench start it; a CPU does more than a hundred million operations a second."""
    output = tmp_path / "rate.json"
    program = [sys.executable, "-m", "alexnet_dist.distributed.matrix_rate", "--precision", "fp32"]
    subprocess.run([*program, "--output", str(output)], check=True, timeout=120)
    assert json.loads(output.read_text())["rate"] > 1e8
