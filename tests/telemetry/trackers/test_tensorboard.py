"""TensorBoard: what its own reader finds below a run directory."""

import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SMOKE, Train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alexnet_dist.cli import main

FLAGS = [*SMOKE, "--data.name", "synthetic", "--train.evaluate_samples", "100", "--checkpoint.every_steps", "7"]
FLAGS += ["--tracking.with", "tensorboard", "--strategy.name", "single"]


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def scalars(events: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(name)]


def near(pairs: list[tuple[int, float]]) -> list[tuple[int, Any]]:
    return [(step, pytest.approx(value, rel=1e-6)) for step, value in pairs]  # kept in fp32


def test_scalars_are_those_of_the_run_and_a_resumed_run_goes_on(train: Train) -> None:
    """The second part repeats steps 8 to 10: the reader sees them once, as they came out the second time."""
    first = train(1, [*FLAGS, "--train.max_steps", "10"])
    assert first.code == 0 and f"TensorBoard: tensorboard --logdir {first.folder}/tensorboard" in first.output
    assert not (first.folder / "wandb").exists() and "W&B" not in first.output
    top1 = first.summary()["eval"]["top1"]
    assert scalars(read(first.folder / "tensorboard"), "eval/top1") == near([(10, top1)])

    flags = [*FLAGS, "--train.max_steps", "20", "--run.resume", str(first.folder / "checkpoints/step-000000007")]
    again = train(1, flags)
    assert again.code == 0, again.output
    events, lines, summary = read(again.folder / "tensorboard"), again.metrics(), again.summary()
    assert [step for step, _ in scalars(events, "loss")] == [5, 7, 10, 14, 15, 20]
    window = [line["loss"] for line in lines[-5:]]
    assert scalars(events, "loss")[-1] == near([(20, sum(window) / 5)])[0]
    assert scalars(events, "lr")[-1] == near([(20, lines[-1]["lr"])])[0]
    assert scalars(events, "top1")[-1] == near([(20, sum(line["top1"] for line in lines[-5:]) / 5)])[0]
    assert scalars(events, "eval/top1")[-1] == near([(20, summary["eval"]["top1"])])[0]
    texts = {name: events.Tensors(name)[-1].tensor_proto.string_val[0].decode() for name in events.Tags()["tensors"]}
    assert "name: alexnet_small" in texts["experiment/text_summary"]
    assert f'"parameters": {summary["parameters"]}' in texts["summary/text_summary"]


def test_without_the_package_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.chdir(tmp_path)
    for command in (["train", *FLAGS, "--run.dir", "run"], ["compare", *FLAGS, "--dir", "compared"]):
        assert main(command) == 2
        told = "error: tracking.with: tensorboard: is not installed: pip install 'alexnet-dist[tensorboard]'"
        assert capfd.readouterr().err.splitlines() == [told]
    assert not list(tmp_path.rglob("tensorboard"))
