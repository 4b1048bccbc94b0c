"""A metric of a step and a tracker, registered from outside the package, in real runs."""

import json
import os
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from conftest import ROOT, Finished, Train
from wandb_file import offline_run

FLAGS = ["--net.name", "alexnet_small", "--data.name", "synthetic", "--data.samples", "128"]
FLAGS += ["--train.global_batch", "32", "--train.max_steps", "4", "--tracking.with", "wandb,toy"]
FLAGS += ["--tracking.log_every", "2", "--checkpoint.every_steps", "0"]


def environment(plugins: str, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "tests/plugins"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {"ALEXNET_DIST_PLUGINS": plugins, "PYTHONPATH": path, "WANDB_MODE": "offline", **more}


def toy_log(run: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "toy/log.jsonl").read_text().splitlines()]


def wandb_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for row in offline_run(folder)["history"] if "loss" in row]


def test_a_metric_of_a_step_reaches_the_metrics_file_and_the_trackers(train: Train) -> None:
    run = train(2, [*FLAGS, "--strategy.name", "ddp"], environment=environment("toy_metric, toy_tracker"))
    assert run.code == 0, run.output
    lines = run.metrics()
    for line in lines:
        assert 0 < line["typical_loss"] <= line["loss"]  # of two ranks with as many samples, the lower one's
        assert 0 < line["data_wait_share"] < 1
    logged = [row for row in toy_log(run) if "loss" in row and row["method"] == "log"]
    for rows in (logged, wandb_rows(run.folder)):
        shares = [row["data_wait_share"] for row in rows]
        windows = [lines[:2], lines[2:]]
        assert shares == pytest.approx([mean(line["data_wait_share"] for line in window) for window in windows])
        assert all(0 < row["own_fastest"] <= row["own_median"] <= row["own_slowest"] for row in rows)


def test_a_tracker_follows_the_run_beside_the_others(train: Train) -> None:
    run = train(1, FLAGS, environment=environment("toy_tracker"))
    assert run.code == 0, run.output
    assert f"Toy: writes {run.folder}/toy/log.jsonl" in run.output and "W&B: offline" in run.output
    log = toy_log(run)
    assert log[0] == {"method": "start", "net": "alexnet_small"}
    assert [row["step"] for row in log if "images_per_second" in row and row["method"] == "log"] == [2, 4]
    assert log[-1]["method"] == "finish" and log[-1]["parameters"] == run.summary()["parameters"]
    assert len(wandb_rows(run.folder)) == 2
    again = train(1, [*FLAGS, "--run.overwrite", "true"], environment=environment("toy_tracker"))
    assert again.code == 0 and len(toy_log(again)) == len(log), again.output  # its files are the run's
    # Without the plugin they are not: nobody knows whose they are.
    flags = [*FLAGS, "--tracking.with", "wandb", "--run.overwrite", "true"]
    refused = train(1, flags, environment=environment(""))
    assert refused.code == 2 and "it holds toy" in refused.errors()[0]


@pytest.mark.parametrize("method", ["start", "log", "finish"])
def test_a_tracker_that_fails_ends_alone(train: Train, method: str) -> None:
    run = train(1, FLAGS, environment=environment("toy_tracker", TOY_FAILS=method))
    assert run.code == 0 and (run.folder / "summary.json").exists()
    assert run.output.count("warning: Toy stopped (the toy broke)") == 1, run.output
    assert "warning: W&B" not in run.output and len(wandb_rows(run.folder)) == 2
