"""A run resumes where it stopped, as if it never had; damaged or foreign files are reported."""

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import SMOKE, Finished, Train
from launched import checkpoint, same_bits
from small_disks import mounted
from wandb_file import contents

from alexnet_dist.rng import GENERATOR
from alexnet_dist.training.checkpoints import files

pytestmark = pytest.mark.usefixtures("fashion_mnist")
QUICK = [*SMOKE, "--tracking.wandb", "false", "--train.evaluate_samples", "1000"]


def test_a_run_goes_on_in_its_own_folder_and_is_the_run_that_was_never_stopped(train: Train) -> None:
    """Mid-epoch, two micro-batches, clipping, a kept checkpoint; curves in the same run of W&B."""
    flags = [*SMOKE, "--train.evaluate_samples", "1000", "--train.accumulate", "2", "--train.clip_norm", "1.0"]
    flags += ["--strategy.name", "single", "--checkpoint.every_steps", "4", "--checkpoint.keep_every", "8"]
    environment = {"WANDB_MODE": "offline"}
    whole = train(1, flags, name="whole", environment=environment)
    part = [*flags, "--train.max_steps", "13"]
    halves = [
        train(1, half, name="halves", environment=environment) for half in (part, [*flags, "--run.resume", "auto"])
    ]
    assert [run.code for run in (whole, *halves)] == [0, 0, 0], halves[1].output
    again = halves[1]
    assert "resuming after step 13" in again.output
    for run in (whole, again):
        kept = [path.name for path in files.list_checkpoints(run.folder / files.FOLDER)]
        assert kept == [files.directory_name(step) for step in (8, 16, 20)]
    assert same_bits(checkpoint(again.folder, 20), checkpoint(whole.folder, 20))
    timeless = ("step", "loss", "samples", "sample_fingerprint", "epoch", "lr", "norm")
    lines = [[{name: line[name] for name in timeless} for line in run.metrics()] for run in (whole, again)]
    assert lines[0] == lines[1] and [line["step"] for line in lines[1]] == list(range(1, 21))
    assert again.summary()["steps"] == 20 and again.summary()["eval"] == whole.summary()["eval"]
    parts = [contents(file) for file in again.folder.glob("wandb/offline-run-*/run-*.wandb")]
    assert len(parts) == 2 and len({file.name for file in again.folder.glob("wandb/*/run-*.wandb")}) == 1
    # At 13 again, the evaluation that the first part ended with is known, and not repeated.
    assert again.output.count("unique images") == 1
    assert "random numbers" not in again.output and "changed since" not in again.output


@pytest.fixture
def finished(train: Train) -> Finished:
    flags = [*QUICK, "--strategy.name", "single", "--train.max_steps", "6", "--checkpoint.every_steps", "2"]
    run = train(1, [*flags, "--train.evaluate", "false"])
    assert run.code == 0, run.output
    return run


def flip_a_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def change_generator(checkpoint: Path) -> None:
    """As a version with other random numbers writes its manifest."""
    values = json.loads((checkpoint / files.MANIFEST).read_text())
    del values["sha256"]
    values["generator"] = GENERATOR - 1
    values["sha256"] = sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    (checkpoint / files.MANIFEST).write_text(json.dumps(values))


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(train: Train, finished: Finished) -> None:
    """The one before it is of a version that drew other random numbers."""
    (shard,) = checkpoint(finished.folder, 6).glob("*.safetensors")
    more = [*QUICK, "--strategy.name", "single", "--train.max_steps", "8", "--run.resume", "auto"]
    flip_a_byte(shard)
    change_generator(checkpoint(finished.folder, 4))
    run = train(1, [*more, "--optim.lr", "1e-4"])
    assert "\nchanged since the checkpoint: optim.lr 0.0001 (was 0.003)\n" in f"\n{run.output}"
    assert run.code == 0 and [line["step"] for line in run.metrics()] == list(range(1, 9))
    assert f"{files.directory_name(6)} is damaged: {shard.name} was changed" in run.output
    assert "resuming after step 4" in run.output
    assert run.output.count("its dropout masks and synthetic images change from here") == 1
    assert files.read_manifest(checkpoint(run.folder, 8)).generator == GENERATOR
    next(checkpoint(run.folder, 8).glob("*.safetensors")).unlink()
    (checkpoint(run.folder, 4) / files.MANIFEST).write_text("{}")
    left = train(1, [*more, "--train.max_steps", "9"])
    assert left.code == 2 and "no whole checkpoint is left" in left.errors()[0]
    assert f"{files.directory_name(4)} is damaged: {files.MANIFEST} lacks its checksum: it was " in left.errors()[0]
    assert f"{files.directory_name(8)} is damaged: {shard.name} is missing" in left.output
    assert len(left.metrics()) == 8  # nothing was lost

    damaged = checkpoint(left.folder, 8) / shard.name
    damaged.mkdir()  # a read error, as a disk gives
    for path in files.list_checkpoints(left.folder / files.FOLDER):
        with pytest.raises(files.Damaged, match=r"cannot be read|was changed"):
            files.verify(path)
    flip_a_byte(damaged.with_name(files.MANIFEST))
    with pytest.raises(files.Damaged, match=r"cannot be read|was changed"):
        files.read_manifest(damaged.parent)
    shutil.rmtree(left.folder / files.FOLDER)
    anew = train(1, [*more, "--train.max_steps", "9"])
    assert anew.code == 0 and f"{anew.folder} has no checkpoint yet: the run starts with its first step" in anew.output


OTHER_TRAININGS = [
    (["--net.activation", "tanh"], ("net.activation", "tanh", "relu")),
    (["--data.name", "synthetic"], ("data.name", "synthetic", "fashion_mnist")),
    (["--train.global_batch", "32"], ("train.global_batch", "32", "64")),
    (["--optim.name", "sgd"], ("optim.name", "sgd", "adam")),
]


def test_a_checkpoint_of_another_training_is_refused(train: Train, finished: Finished) -> None:
    before = sorted(path.name for path in finished.folder.iterdir())
    resume = ["--run.resume", str(checkpoint(finished.folder, 6)), "--train.max_steps", "8"]
    for flags, words in OTHER_TRAININGS:
        run = train(1, [*QUICK, *flags, *resume], name=flags[0])
        assert run.code == 2 and all(word in run.errors()[0] for word in words)
        assert [path.name for path in run.folder.iterdir()] == ["exit.json"]
    assert sorted(path.name for path in finished.folder.iterdir()) == before


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--run.resume", "/proc/nowhere"], ("/proc/nowhere", "neither a checkpoint")),
        (["--run.resume", "auto", "--run.overwrite", "true"], ("run.overwrite", "would delete")),
    ],
)
def test_nothing_to_go_on_from(train: Train, flags: list[str], words: tuple[str, ...]) -> None:
    run = train(1, [*QUICK, *flags])
    assert run.code == 2 and all(word in run.errors()[0] for word in words)


def test_a_disk_that_fills_loses_no_good_checkpoint(train: Train, finished: Finished, tmp_path: Path) -> None:
    """The disk of the run's checkpoints has space for the first three, not for a fourth."""
    size = sum(path.stat().st_size for path in checkpoint(finished.folder, 6).iterdir())
    with mounted(tmp_path / "disk", str(4 * size - size // 2)) as disk:
        shutil.copytree(finished.folder / files.FOLDER, disk / "checkpoints")
        shutil.rmtree(finished.folder / files.FOLDER)
        (finished.folder / files.FOLDER).symlink_to(disk / "checkpoints")
        (disk / "filler").write_bytes(b"0" * (size // 2))
        flags = [*QUICK, "--strategy.name", "single", "--checkpoint.every_steps", "2", "--checkpoint.keep", "3"]
        run = train(1, [*flags, "--train.max_steps", "10", "--run.resume", "auto"])
        assert run.code == 1 and len(run.metrics()) == 10, run.output
        assert "warning: no checkpoint of step 8: No space left on device" in run.output
        assert "the checkpoint of step 10: No space left on device" in run.errors()[0]
        assert files.verify(checkpoint(run.folder, 6)).step == 6
        assert not list((disk / "checkpoints").glob(".writing*"))
        subprocess.run(["mount", "-o", f"remount,size={6 * size}", str(disk)], check=True)
        more = train(1, [*flags, "--train.max_steps", "12", "--run.resume", "auto"])
        assert more.code == 0 and "resuming after step 6" in more.output
