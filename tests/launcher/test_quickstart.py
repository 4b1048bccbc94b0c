"""What launch/quickstart.py does on machines with and without GPUs."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT
from replaced_gpus import A100, NO_GPU, ONE, TWO, V100, Machine

from alexnet_dist.config import precisions
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.errors import UsageError


@pytest.fixture
def quickstart() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "launch/quickstart.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "gpus, single, on_cpu, precision, epochs",
    [
        (0, False, True, "bf16", 1),
        (1, True, True, "bf16", 1),
        (2, False, False, "fp16", 10),
        (8, False, False, "fp16", 10),
    ],
)
def test_what_is_trained_where(
    gpus: int,
    single: bool,
    on_cpu: bool,
    precision: str,
    epochs: int,
    quickstart: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    plan = quickstart.plan(gpus, "fp16", 10, "bf16", 64, 25)
    assert (plan.single is not None, plan.on_cpu) == (single, on_cpu)
    train = resolve(load([*quickstart.TRAINED, *plan.ranks, "--strategy.name", "split"]), 2).train
    assert (train.precision, train.epochs) == (precision, epochs)
    assert (train.global_batch, train.max_steps) == ((64, 25) if on_cpu else (128, None))
    if plan.single is not None:
        train = resolve(load([*quickstart.TRAINED, *plan.single, "--strategy.name", "single"]), 1).train
        assert (train.precision, train.epochs, train.max_steps) == ("fp16", 10, None)


@pytest.mark.parametrize(
    "machine, alone, on_cpu, precision",
    [
        (NO_GPU, [], True, "fp32"),
        (ONE, ["1"], True, "fp32"),
        (TWO, [], False, "bf16"),
        (Machine((V100,) * 2), [], False, "fp32"),
        (Machine((A100,), usable=False), [], True, "fp32"),
    ],
)
def test_what_is_started_where(
    machine: Machine,
    alone: list[str],
    on_cpu: bool,
    precision: str,
    quickstart: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With fewer than two GPUs, two ranks and the comparison use the CPU, in bf16 if it has bf16 instructions."""
    machine.replace(monkeypatch)
    started: list[tuple[Sequence[str], dict[str, str]]] = []
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.setattr(quickstart, "__file__", str(tmp_path / "launch/quickstart.py"))
    monkeypatch.setattr(quickstart, "_run", lambda program, environment: started.append((program, environment)))
    monkeypatch.setattr(quickstart, "matrix_rate", lambda dtype, seconds: 1e11)
    monkeypatch.setattr(quickstart, "_gpu_rate", lambda precision: 1e15)
    for module in (quickstart, precisions):
        monkeypatch.setattr(module, "cpu_multiplies_bf16", lambda: False)
    quickstart.main([])
    (_, *runs, _, (compare, comparing)) = started
    ranks = [words[words.index("--ranks") + 1] for words, _ in runs]
    assert ranks == [*alone, "2", "2"]
    cpu = {"ACCELERATE_USE_CPU": "true"} if on_cpu else {}
    assert [environment for _, environment in runs] == [*({} for _ in alone), cpu, cpu] and comparing == cpu
    for words in (runs[-1][0], compare):
        assert words[words.index("--train.precision") + 1] == precision


def test_a_faster_machine_takes_more_steps_and_at_most_an_epoch(
    quickstart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    net = quickstart.on_cpu([])
    batches = quickstart.cpu_batches([])
    slowest, *rates = (
        quickstart.cpu_batch_and_steps(rate, net, batches) for rate in (1e9, 1e11, 2e11, 4e11, 8e11, 1e15)
    )
    assert slowest == (32, 5) and [batch for batch, _ in rates] == [32, 64, 128, 128, 128]
    images = [batch * steps for batch, steps in rates]
    assert images == sorted(images) and all(steps >= 40 for _, steps in rates[1:]) and images[-1] == 468 * 128
    given = quickstart.on_cpu(["--net.name", "alexnet_small", "--train.precision", "fp32"])
    _, steps = quickstart.cpu_batch_and_steps(1e11, given, batches)
    assert steps > rates[0][1] and given.train.precision == "fp32"
    with pytest.raises(UsageError, match="batch"):
        quickstart.on_cpu(["--train.global_batch", "0"])


@pytest.mark.parametrize("batch", [128, 256])
def test_a_batch_that_is_given_is_taken(quickstart: ModuleType, batch: int) -> None:
    assert quickstart.cpu_batches(["--train.global_batch", str(batch)]) == (batch,)


def test_a_slow_gpu_trains_fewer_epochs_in_the_same_time(
    quickstart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates of a T4 in fp32, an L4, an H100."""
    monkeypatch.chdir(ROOT)
    net = quickstart.on_cpu([])
    slow, more, most = (quickstart.gpu_epochs(rate, net) for rate in (5e12, 6e13, 7e14))
    assert slow == 1 < more < most == 10
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # as if it were one
    assert quickstart._gpu_rate("fp32") > 1e7


@pytest.mark.parametrize("flag", ["--run.dir", "--run.resume=auto", "--strategy.name", "--config"])
def test_it_never_writes_where_a_flag_says(flag: str, quickstart: ModuleType) -> None:
    with pytest.raises(UsageError, match="the quickstart sets it"):
        quickstart.main([flag, "mine"])


def test_help(quickstart: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    quickstart.main(["--net.name", "alexnet_small", "--help"])
    assert "launch/quickstart.sh" in capsys.readouterr().out


def test_a_cpu_that_is_slow_or_busy_is_told_of(quickstart: ModuleType) -> None:
    few, enough = (quickstart.plan(0, "bf16", 0, "fp32", 32, steps).about for steps in (31, 40))
    assert "so few steps teach little" in few and "slow" not in enough
