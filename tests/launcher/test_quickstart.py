"""What launch/quickstart.py does on machines with and without GPUs."""

import importlib.util
from types import ModuleType

import pytest
from conftest import ROOT

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
    plan = quickstart.plan(gpus, "fp16", "bf16", 25)
    assert (plan.single is not None, plan.on_cpu) == (single, on_cpu)
    train = resolve(load([*quickstart.TRAINED, *plan.ranks, "--strategy.name", "split"]), 2).train
    assert (train.precision, train.epochs, train.max_steps) == (precision, epochs, 25 if on_cpu else None)
    if plan.single is not None:
        train = resolve(load([*quickstart.TRAINED, *plan.single, "--strategy.name", "single"]), 1).train
        assert (train.precision, train.epochs, train.max_steps) == ("fp16", 10, None)


def test_a_faster_machine_takes_more_steps_and_at_most_an_epoch(
    quickstart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    net = quickstart.on_cpu([])
    few, more, most = (quickstart.cpu_steps(rate, net) for rate in (1e11, 2e11, 1e15))
    assert 5 < few < more < most == 60_000 // 128
    given = quickstart.on_cpu(["--net.name", "alexnet_small", "--train.precision", "fp32"])
    assert quickstart.cpu_steps(1e11, given) > few and given.train.precision == "fp32"
    with pytest.raises(UsageError, match="batch"):
        quickstart.on_cpu(["--train.global_batch", "0"])


@pytest.mark.parametrize("flag", ["--run.dir", "--run.resume=auto", "--strategy.name", "--config"])
def test_it_never_writes_where_a_flag_says(flag: str, quickstart: ModuleType) -> None:
    with pytest.raises(UsageError, match="the quickstart sets it"):
        quickstart.main([flag, "mine"])


def test_help(quickstart: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    quickstart.main(["--net.name", "alexnet_small", "--help"])
    assert "launch/quickstart.sh" in capsys.readouterr().out
