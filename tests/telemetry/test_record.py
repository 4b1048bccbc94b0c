"""The files of a run carry a format number; damaged lines are left out, those of another format refused."""

import json
import math
from pathlib import Path

import pytest
from conftest import Finished, Train
from step_records import step_record

from alexnet_dist.telemetry.run_files import FORMAT, finite, read_metrics
from alexnet_dist.telemetry.step_record import StepRecord

FLAGS = [
    "--net.name",
    "alexnet_small",
    "--data.name",
    "synthetic",
    "--data.samples",
    "320",
    "--tracking.wandb",
    "false",
]
FLAGS += ["--train.global_batch", "32", "--train.evaluate", "false"]
WHOLE: dict[str, object] = {"format": FORMAT, **step_record().line()}


def rewrite(run: Finished, lines: list[dict[str, object]]) -> str:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.folder / "metrics.jsonl").write_text(text)
    return text


def test_a_run_that_another_version_wrote_is_refused_and_left_alone(train: Train) -> None:
    run = train(1, [*FLAGS, "--train.max_steps", "4"])
    assert run.summary()["format"] == FORMAT and {line["format"] for line in run.metrics()} == {FORMAT}
    newer = rewrite(run, [{"format": FORMAT + 1, "steps_done": line["step"]} for line in run.metrics()])
    for ranks in (1, 2):
        flags = ["--strategy.name", "single" if ranks == 1 else "ddp", "--train.max_steps", "6", "--run.resume", "auto"]
        again = train(ranks, [*FLAGS, *flags])
        assert again.code == 2, again.output
        assert f"format {FORMAT + 1}" in again.errors()[0]
        assert (run.folder / "metrics.jsonl").read_text() == newer


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "metrics.jsonl").write_text(json.dumps(WHOLE) + '\n{"format": 2, "st')
    assert read_metrics(tmp_path, said.append) == [WHOLE] and not said
    assert read_metrics(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    "damaged", ["", "null", "[1]", '{"step": 2}', json.dumps({**WHOLE, "step": "two"}),
                json.dumps({**WHOLE, "loss": "x"}), json.dumps({**WHOLE, "format": "x"}),
                json.dumps({**WHOLE, "lr": None}), json.dumps({**WHOLE, "norm": "x"}), "\xff", "[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_damaged_costs_that_line_alone(damaged: str, tmp_path: Path) -> None:
    whole = [{**WHOLE, "step": step} for step in (1, 2, 3)]
    first, _, last = (json.dumps(line) for line in whole)
    (tmp_path / "metrics.jsonl").write_text(f"{first}\n{damaged}\n{last}\n")
    said: list[str] = []
    assert read_metrics(tmp_path, said.append) == [whole[0], whole[2]]
    assert said == [f"warning: {tmp_path / 'metrics.jsonl'}: left out 1 damaged line, of which the first is line 2"]


def test_a_line_becomes_the_step_that_it_was_written_from() -> None:
    step = step_record(step=3, norm=0.5, extra={"toy": 7})
    assert StepRecord.of_line(json.loads(json.dumps(step.line()))) == step
    assert math.isnan(StepRecord.of_line({**step.line(), "loss": None}).loss)


def test_json_has_no_nan() -> None:
    assert finite({"a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": -1}}) == {
        "a": None, "b": [None, 1.0], "c": {"d": -1},
    }  # fmt: skip
