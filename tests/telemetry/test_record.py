"""The files of a run carry a format number; an older run can be resumed, a newer one is refused."""

import json
from pathlib import Path

import pytest
from conftest import Finished, Train

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
FIRST_FORMAT = ("step", "loss", "samples", "seconds", "epoch", "lr")


def rewrite(run: Finished, lines: list[dict[str, object]]) -> str:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.folder / "metrics.jsonl").write_text(text)
    return text


def test_a_run_that_was_written_before_a_field_existed_is_resumed(train: Train) -> None:
    run = train(1, [*FLAGS, "--train.max_steps", "4"])
    assert run.code == 0, run.output
    assert run.summary()["format"] == FORMAT and {line["format"] for line in run.metrics()} == {FORMAT}
    old = [
        {"format": 1, **{name: line[name] for name in FIRST_FORMAT}, "rank_seconds": [line["seconds"]]}
        for line in run.metrics()
    ]
    rewrite(run, old)
    again = train(1, [*FLAGS, "--train.max_steps", "10", "--run.resume", "auto"])
    assert again.code == 0, again.output
    lines, summary = again.metrics(), again.summary()
    assert lines[:4] == old  # kept as they were
    assert [line["step"] for line in lines] == list(range(1, 11)) and lines[4]["format"] == FORMAT
    assert summary["steps"] == 10 and summary["samples_seen"] == 320
    assert 0 < summary["data_wait_fraction"] < 1 and 0 < summary["optimizer_fraction"] < 1


def test_a_run_that_a_newer_version_wrote_is_refused_and_left_alone(train: Train) -> None:
    run = train(1, [*FLAGS, "--train.max_steps", "4"])
    newer = rewrite(run, [{**line, "format": FORMAT + 1} for line in run.metrics()])
    for ranks in (1, 2):
        flags = ["--strategy.name", "single" if ranks == 1 else "ddp", "--train.max_steps", "6", "--run.resume", "auto"]
        again = train(ranks, [*FLAGS, *flags])
        assert again.code == 2, again.output
        assert f"format {FORMAT + 1}" in again.errors()[0]
        assert (run.folder / "metrics.jsonl").read_text() == newer


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    whole = {"format": 1, "step": 1, "loss": 2.0, "samples": 8, "seconds": 0.5}
    said: list[str] = []
    (tmp_path / "metrics.jsonl").write_text(json.dumps(whole) + '\n{"format": 1, "st')
    assert read_metrics(tmp_path, said.append) == [whole] and not said
    assert read_metrics(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    "damaged", ["", "null", "[1]", '{"step": 2}', '{"step": "two", "loss": 1, "samples": 8, "seconds": 1}',
                '{"step": 2, "loss": "x", "samples": 8, "seconds": 1}', '{"format": "x", "step": 2, "loss": 1,'
                ' "samples": 8, "seconds": 1}', "\xff", "[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_damaged_costs_that_line_alone(damaged: str, tmp_path: Path) -> None:
    whole = [{"format": 1, "step": step, "loss": 2.0, "samples": 8, "seconds": 0.5} for step in (1, 2, 3)]
    first, _, last = (json.dumps(line) for line in whole)
    (tmp_path / "metrics.jsonl").write_text(f"{first}\n{damaged}\n{last}\n")
    said: list[str] = []
    assert read_metrics(tmp_path, said.append) == [whole[0], whole[2]]
    assert said == [f"warning: {tmp_path / 'metrics.jsonl'}: left out 1 damaged line, of which the first is line 2"]


def test_a_line_becomes_the_step_that_it_was_written_from() -> None:
    step = StepRecord(step=3, loss=1.5, samples=8, seconds=2.0, ranks=2, own_median=0.5, norm=0.5, extra={"toy": 7})
    assert StepRecord.of_line(json.loads(json.dumps(step.line()))) == step
    line = {"step": 1, "loss": None, "samples": 8, "seconds": 2.0}
    for earlier, ranks in (({}, 1), ({"rank_seconds": [1.0, 2.0]}, 2)):
        older = StepRecord.of_line({**line, **earlier})
        assert older.ranks == ranks and older.loss != older.loss and older.sample_fingerprint is None


def test_json_has_no_nan() -> None:
    assert finite({"a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": -1}}) == {
        "a": None, "b": [None, 1.0], "c": {"d": -1},
    }  # fmt: skip
