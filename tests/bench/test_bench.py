"""The bench measures what it says, on real programs."""

from pathlib import Path

import pytest
import torch

from alexnet_dist.bench.benchmarks import SMALL, Benchmark
from alexnet_dist.bench.measure import Result, measure
from alexnet_dist.bench.programs import WARM_UP, Program, Settings, TrainingRun
from alexnet_dist.cli import main
from alexnet_dist.distributed.matrix_rate import matrix_rate
from alexnet_dist.telemetry.run_files import read_metrics
from alexnet_dist.telemetry.throughput import images_per_second

SETTINGS = Settings(steps=2, batch=8, precision="fp32")
SMALLEST = TrainingRun(1, (*SMALL, "--data.name", "synthetic", "--train.max_steps", str(WARM_UP + 2)))


class Counting(Program):
    """Its rate is how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def rate(self, settings: Settings, folder: Path) -> float:
        assert settings == SETTINGS and folder.is_dir()
        self.runs += 1
        return float(self.runs)


def test_a_training_run_is_measured_by_the_common_definition(tmp_path: Path) -> None:
    rate, steps = SMALLEST.rate(SETTINGS, tmp_path), read_metrics(tmp_path / "run")
    assert len(steps) == WARM_UP + 2
    assert rate == images_per_second([8, 8], [step["seconds"] for step in steps[WARM_UP:]]) > 0


def test_the_two_programs_take_turns() -> None:
    order: list[str] = []
    benchmark = Benchmark("one / other", Counting(), Counting(), scale=3.0)
    (result,) = measure([benchmark], 3, SETTINGS, order.append)
    assert [text.rsplit(" ", 1)[1] for text in order] == ["ours", "other", "other", "ours", "ours", "other"]
    assert (result.ours, result.other, result.ratios) == ([3.0, 6.0, 9.0], [1.0, 2.0, 3.0], [3.0] * 3)


def test_a_ratio_is_that_of_the_median_round() -> None:
    benchmark = Benchmark("a / b", Counting(), Counting())
    assert Result(benchmark, [2.0, 3.0, 9.0], [4.0, 2.0, 3.0]).ratio == 1.5


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of two steps of a training run, and the machine's matrix rate."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # the command sets it: undone afterwards
    assert main(["bench", "--only", "matrix rate", "--rounds", "1", "--steps", "2", "--batch", "2"]) == 0
    shown = capsys.readouterr().out
    assert "alexnet_2012 / the" in shown and max(map(len, shown.splitlines())) <= 100
    assert [word for word in ("must", "aim", "missed") if word in shown] == []


def test_the_matrix_rate_of_a_cpu_is_more_than_ten_million_operations_a_second() -> None:
    assert matrix_rate(torch.float32, size=256, seconds=0.1) > 1e7
