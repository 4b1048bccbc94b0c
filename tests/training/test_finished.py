"""A finished run that is resumed has nothing left to do, and its record loses nothing."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMOKE, Finished, train_in
from launched import checkpoint, tensors

from alexnet_dist.errors import DONE
from alexnet_dist.training.checkpoints import files

STEPS = 6
FLAGS = [
    *SMOKE, "--data.name", "synthetic", "--data.samples", "640", "--tracking.wandb", "false",
    "--train.max_steps", str(STEPS), "--train.evaluate_samples", "100",
]  # fmt: skip


def held(step: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's contents, however many files it has."""
    return {name: tensor for shard in tensors(step).values() for name, tensor in shard.items()}


def finished(run: Finished) -> dict[str, Any]:
    """Nothing was done and everything is there; the summary."""
    assert run.code == DONE, run.output
    assert f"\nnothing left to do: step {STEPS} of {STEPS} is done" in run.output
    assert run.exit() == {"code": 0, "reason": "finished"} and len(run.metrics()) == STEPS
    assert files.verify(checkpoint(run.folder, STEPS)).step == STEPS
    assert (run.folder / "evaluation.json").exists()
    return run.summary()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of two ranks."""
    run = train_in(tmp_path_factory.mktemp("trained") / "A", [*FLAGS, "--strategy.name", "ddp"], 2)
    assert run.code == DONE, run.output
    return run


@pytest.mark.parametrize("ranks, strategy", [(1, "single"), (2, "split"), (2, "zero3"), (2, "fsdp")])
def test_in_a_new_folder_under_any_strategy(ranks: int, strategy: str, trained: Finished, tmp_path: Path) -> None:
    flags = [*FLAGS, "--strategy.name", strategy, "--run.resume", str(trained.folder)]
    run = train_in(tmp_path / "B", flags, ranks)
    assert f" is done; the figures are those of {trained.folder}\n" in run.output
    assert finished(run) == trained.summary()
    assert (run.folder / "metrics.jsonl").read_text() == (trained.folder / "metrics.jsonl").read_text()
    if strategy == "single":  # the others write a tensor in parts
        ours, theirs = (held(checkpoint(folder, STEPS)) for folder in (run.folder, trained.folder))
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_in_its_own_folder_and_where_the_record_was_lost(trained: Finished, tmp_path: Path) -> None:
    """On other ranks than the run's, without evaluation; killed before it wrote its summary; then a bare checkpoint.
    The settings are those that it was trained with."""
    folder, alone = tmp_path / "A", [*FLAGS, "--strategy.name", "single", "--run.resume"]
    shutil.copytree(trained.folder, folder)
    assert finished(train_in(folder, [*alone, "auto", "--train.evaluate", "false"])) == trained.summary()
    assert (folder / "config.yaml").read_text() == (trained.folder / "config.yaml").read_text()
    (folder / "summary.json").unlink()
    again = finished(train_in(folder, [*alone, "auto"]))
    for name in ("steps", "samples_seen", "images_per_second", "step_seconds", "train_loss", "eval", "world_size"):
        assert again[name] == trained.summary()[name]
    bare = tmp_path / "bare" / files.directory_name(STEPS)
    shutil.copytree(checkpoint(trained.folder, STEPS), bare)
    run = train_in(tmp_path / "C", [*alone, str(bare)])
    assert run.code == DONE, run.output
    told = run.summary()
    assert told["eval"] is not None and told["images_per_second"] is None and told["last_step"] == STEPS
