"""The bench measures what it states, on real programs and the available device."""

import sys
from pathlib import Path
from typing import Any

import preloaded
import pytest
import torch
from replaced_gpus import GTX_1080, ONE, TWO, V100, Machine
from torch._subclasses.fake_tensor import FakeTensorMode

from alexnet_dist.bench import baselines
from alexnet_dist.bench import measure as measuring
from alexnet_dist.bench.benchmarks import OF_2012, SMALL, Benchmark
from alexnet_dist.bench.measure import Result, measure
from alexnet_dist.bench.programs import WARM_UP, Program, Settings, TrainingRun
from alexnet_dist.cli import main
from alexnet_dist.commands.bench import _spread
from alexnet_dist.config.load import load
from alexnet_dist.telemetry import hardware
from alexnet_dist.telemetry import matrix_rate as rates
from alexnet_dist.telemetry.matrix_rate import matrix_rate
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


def test_the_ratio_shown_is_that_of_the_median_round() -> None:
    result = Result(Benchmark("a / b", Counting(), Counting()), [2.0, 3.0, 9.0], [4.0, 2.0, 3.0])
    assert _spread(result.ratios) == ("1.50", "0.50-3.00")


def test_the_command() -> None:
    """One round of two steps of a training run, and the machine's matrix rate."""
    flags = ["--only", "matrix rate", "--rounds", "1", "--steps", "2", "--batch", "2"]
    done = preloaded.command("bench", *flags, ranks=1, **preloaded.FORKS_RANKS)
    shown = done.stdout
    assert done.returncode == 0 and "alexnet_2012 / the" in shown and max(map(len, shown.splitlines())) <= 100
    assert [word for word in ("must", "aim", "missed") if word in shown] == []


def test_the_matrix_rate_of_a_cpu_is_more_than_ten_million_operations_a_second() -> None:
    assert matrix_rate(torch.float32, size=256, seconds=0.1) > 1e7


@pytest.mark.parametrize(
    "machine, ranks, precision", [(ONE, {1}, "bf16"), (TWO, {1, 2}, "bf16"), (Machine((V100,)), {1}, "fp32")]
)
def test_what_is_measured_on_gpus(
    machine: Machine,
    ranks: set[int],
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Cases that have a GPU for each rank, the others named; many steps, in bf16 if the GPU multiplies it."""
    machine.replace(monkeypatch)
    asked: list[Any] = []

    def measure(*given: Any) -> list[Any]:
        asked.append(given)
        return []

    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(hardware, "load_warnings", list)
    assert main(["bench"]) == 0
    ((chosen, _, settings, _),) = asked
    assert {benchmark.ranks for benchmark in chosen} == ranks
    assert settings == Settings(steps=200, batch=128, precision=precision)
    shown = capsys.readouterr().out
    assert machine.gpus[0].split("-")[0] in shown and f"{len(machine.gpus)} GPUs" in shown
    assert ("left out: split / single: 2 ranks, 1 GPU\n" in shown) == (machine is not TWO)
    assert main(["bench", "--only", "split"]) == (0 if machine is TWO else 2)


@pytest.mark.parametrize("batch, steps", [(128, 200), (1024, 200), (8192, 3), (128, 8)])
def test_synthetic_images_fit_a_gpu_and_last_for_all_steps(batch: int, steps: int, tmp_path: Path) -> None:
    words = TrainingRun(1, OF_2012).words(Settings(steps, batch, "bf16"), tmp_path)
    experiment = load(words)
    samples, epochs = experiment.data.samples, experiment.train.epochs
    assert samples <= 8192 and samples % batch == 0
    assert samples * (epochs - 1) < batch * (steps + WARM_UP) <= samples * epochs


def test_a_bare_loop_has_the_switches_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(baselines, "set_switches", lambda precision: asked.append(precision.name))
    monkeypatch.setattr(baselines, "timed", lambda step, batch, steps: 1.0)
    assert baselines.bare(1, 1, "fp32") == 1.0 and asked == ["fp32"]


def test_a_gpu_that_torch_is_not_built_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Machine((GTX_1080,)).replace(monkeypatch)
    assert main(["bench"]) == 2
    assert capsys.readouterr().err.startswith("error: GPUs: NVIDIA GeForce GTX 1080 (sm_61): torch ")


@pytest.mark.parametrize("use_cpu, device", [("false", "cuda:1"), ("true", "cpu")])
def test_both_sides_compute_on_the_same_device(
    use_cpu: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TWO.replace(monkeypatch)
    monkeypatch.setenv("ACCELERATE_USE_CPU", use_cpu)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert baselines.device() == torch.device(device)
    used: list[torch.device] = []

    def matrix_rate(dtype: torch.dtype, device: str | torch.device = "cpu") -> float:
        used.append(torch.device(device))
        return 1.0

    monkeypatch.setattr(rates, "matrix_rate", matrix_rate)
    monkeypatch.setattr(sys, "argv", ["matrix_rate", "--precision", "bf16", "--output", str(tmp_path / "rate.json")])
    rates.main()
    assert [place.type for place in used] == [torch.device(device).type]


def test_a_gpus_time_is_taken_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append(f"waited for {device}"))
    monkeypatch.setenv("LOCAL_RANK", "1")
    with monkeypatch.context() as replaced:
        TWO.replace(replaced)
        baselines.timed(lambda: done.append("step"), batch=8, steps=2)
    assert done == ["step"] * WARM_UP + ["waited for cuda:1"] + ["step"] * 2 + ["waited for cuda:1"]
    done.clear()
    monkeypatch.setattr(torch, "mm", lambda a, b: done.append("product"))
    with FakeTensorMode():
        matrix_rate(torch.bfloat16, size=8, seconds=0.01, device="cuda:1")
    once = ["product"] * rates.QUEUED + ["waited for cuda:1"]
    assert done == once * (len(done) // len(once))
