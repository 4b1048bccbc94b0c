"""A finished run that is taken up has nothing left to do, and its record gets no poorer."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMOKE
from launched import Launched, checkpoint, start, tensors

from alexnet_dist.errors import DONE
from alexnet_dist.training.checkpoints import files

STEPS = 6
FLAGS = [
    *SMOKE, "--data.name", "synthetic", "--data.samples", "640", "--tracking.wandb", "false",
    "--train.max_steps", str(STEPS), "--train.evaluate_samples", "100",
]  # fmt: skip


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def held(step: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint holds, in however many files."""
    return {name: tensor for shard in tensors(step).values() for name, tensor in shard.items()}


def finished(run: Launched) -> dict[str, Any]:
    """Nothing was done and everything is there; the summary."""
    code, lines = run.end()
    assert code == DONE, "\n".join(lines)
    assert any(line.startswith(f"nothing left to do: step {STEPS} of {STEPS} is done") for line in lines)
    assert run.exit() == {"code": 0, "reason": "finished"} and run.steps() == STEPS
    assert files.verify(checkpoint(run.folder, STEPS)).step == STEPS
    assert (run.folder / "evaluation.json").exists()
    return summary(run.folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ranks."""
    folder = tmp_path_factory.mktemp("trained") / "A"
    run = start(folder, 2, [*FLAGS, "--strategy.name", "ddp"])
    assert run.end()[0] == DONE, run.output.read_text()
    return folder


@pytest.mark.parametrize("ranks, strategy", [(1, "single"), (2, "split"), (2, "zero3"), (2, "fsdp")])
def test_in_a_new_folder_under_any_strategy(ranks: int, strategy: str, trained: Path, tmp_path: Path) -> None:
    run = start(tmp_path / "B", ranks, [*FLAGS, "--strategy.name", strategy, "--run.resume", str(trained)])
    assert finished(run) == summary(trained)
    assert (run.folder / "metrics.jsonl").read_text() == (trained / "metrics.jsonl").read_text()
    if strategy == "single":  # the others write a tensor in parts
        ours, theirs = (held(checkpoint(folder, STEPS)) for folder in (run.folder, trained))
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_in_its_own_folder_and_where_the_record_was_lost(trained: Path, tmp_path: Path) -> None:
    """On other ranks than the run's, without evaluation; killed before it wrote its summary; then a bare checkpoint."""
    folder, alone = tmp_path / "A", ["--strategy.name", "single", "--train.evaluate", "false"]
    shutil.copytree(trained, folder)
    assert finished(start(folder, 1, [*FLAGS, *alone, "--run.resume", "auto"])) == summary(trained)
    (folder / "summary.json").unlink()
    again = finished(start(folder, 1, [*FLAGS, "--strategy.name", "single", "--run.resume", "auto"]))
    for name in ("steps", "samples_seen", "images_per_second", "step_seconds", "train_loss", "eval", "world_size"):
        assert again[name] == summary(trained)[name]
    bare = tmp_path / "bare" / files.directory_name(STEPS)
    shutil.copytree(checkpoint(trained, STEPS), bare)
    run = start(tmp_path / "C", 1, [*FLAGS, "--strategy.name", "single", "--run.resume", str(bare)])
    code, lines = run.end()
    assert code == DONE, "\n".join(lines)
    told = summary(run.folder)
    assert told["eval"] is not None and told["images_per_second"] is None and told["last_step"] == STEPS
