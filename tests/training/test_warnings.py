"""Warnings of settings that have no effect with the run's data, and of slow GPUs."""

from pathlib import Path

import preloaded
import pytest
import torch
from replaced_gpus import L4, V100, Machine

from alexnet_dist.distributed.mesh import World
from alexnet_dist.gpu_check.setup import Setup
from alexnet_dist.gpu_check.trained import trained
from alexnet_dist.training import train

VIEWS = (
    "warning: train.evaluate_views: 10 views, of which only two differ: data.crop 32 takes all 32 x 32 pixels; "
    "choose less"
)


def test_a_batch_larger_than_the_data_set_and_squares_that_are_the_image_are_told(tmp_path: Path) -> None:
    flags = [
        "--net.name=alexnet_small", "--data.name=synthetic", "--data.samples=48", "--train.global_batch=64",
        "--train.epochs=2", "--train.max_steps=5", "--tracking.wandb=false", "--data.augment=alexnet", "--data.crop=32",
        "--train.evaluate_views=10",
        f"--run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    done = preloaded.command("train", *flags)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert told == [
        "warning: train.global_batch: 64 is more than the 48 training images: every step takes all of them and is an "
        "epoch, with an evaluation after each",
        "warning: train.max_steps: 5 has no effect: train.epochs 2 ends the run after 2 steps",
        "warning: data.crop: 32 leaves data.augment alexnet no squares to choose from: images have 32 x 32 pixels; "
        "choose less",
        VIEWS,
    ]
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) >= 2
    evaluated = preloaded.command("evaluate", f"--checkpoint={tmp_path / 'run'}")
    assert evaluated.stdout.splitlines()[:-1] == [VIEWS], evaluated.stderr


def test_what_is_slow_on_these_gpus_is_told(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the first of two ranks, on a machine where Triton finds no driver."""
    with trained(Setup(torch.device("cpu"), small=True), "--train.precision", "bf16") as run:
        monkeypatch.setattr(run.components.engine, "world", World(0, 1, torch.device("cuda", 0), None))
        Machine((V100, L4)).replace(monkeypatch)
        monkeypatch.setattr(train, "gather_on_first", lambda world, name: [name, L4])
        told = "\n".join(train._warnings(run.components))
    assert "warning: train.precision: bf16 is emulated by this GPU" in told
    assert "warning: response norm: Triton does not run" in told
    assert f"warning: devices: 1 x {V100}, 1 x {L4}" in told


def test_what_ranks_have_found_is_told_once_and_names_the_rank_unless_the_first_has_it() -> None:
    found = [["slow here"], ["slow here", "no compiler"], [], ["no compiler"]]
    assert train._by_rank(found) == ["slow here", "rank 1: no compiler"]
    assert train._by_rank([]) == []  # what ranks other than the first gather
