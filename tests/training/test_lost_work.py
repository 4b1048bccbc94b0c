"""Disks that fill, quotas, folders that vanish, memory that does not suffice: an exit code of 0 means that all that was
asked for is on the disk, and one line says what is not and why."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, SMOKE, Finished, train_in
from launched import Launched, checkpoint, start_alone, start_line
from long_forms import LONG_FORM
from run_records import metrics_of
from small_disks import NO_SPACE, fill, mounted

from alexnet_dist.errors import DONE, FAILED, STOPPED
from alexnet_dist.training.checkpoints import files

QUIET = [*SMOKE, "--data.name", "synthetic", "--data.samples", "640", "--tracking.wandb", "false"]
QUIET += ["--train.evaluate", "false", "--train.epochs", "10000", "--tracking.log_every", "1"]
ENDLESS = [*QUIET, "--train.max_steps", "100000"]
TRAIN = [sys.executable, str(ROOT / "launch/train.py")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB: a checkpoint of the smallest net takes 490 kB."""
    with mounted(tmp_path / "disk", "300k") as folder:
        yield folder


@pytest.fixture
def larger_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with space for two checkpoints, not for three."""
    with mounted(tmp_path / "disk", "1300k") as folder:
        yield folder


def failed(run: Launched | Finished, *words: str) -> None:
    """Exit code 1 and one line; the same in exit.json where that could be written."""
    code, lines = (run.code, run.output.splitlines()) if isinstance(run, Finished) else run.end()
    assert code == FAILED and "Traceback" not in "\n".join(lines), "\n".join(lines)
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert line == lines[-1] and all(word in line for word in words), line
    if (run.folder / "exit.json").exists():
        assert run.exit()["code"] == FAILED and all(word in run.exit()["reason"] for word in words)


@pytest.mark.parametrize("ranks, strategy", [(1, "single"), (2, "split")])
def test_a_disk_without_room_for_the_checkpoint_that_was_asked_for(ranks: int, strategy: str, disk: Path) -> None:
    run = train_in(disk / "run", [*QUIET, "--train.max_steps", "20", "--strategy.name", strategy], ranks)
    failed(run, "not all of it is on the disk: the checkpoint of step 20: ", NO_SPACE)
    assert len(run.metrics()) == 20 and (run.folder / "summary.json").exists()
    assert not list((run.folder / "checkpoints").iterdir())


def test_a_stop_whose_checkpoint_finds_no_room_and_the_one_before_it(larger_disk: Path, tmp_path: Path) -> None:
    """What is on the disk stays intact, and the run resumes from it once there is space."""
    flags = [*ENDLESS, "--checkpoint.every_steps", "10", "--checkpoint.background", "false"]
    run = start_line([*TRAIN, *flags, "--run.dir", str(larger_disk / "run")], tmp_path / "run")
    run.folder = larger_disk / "run"
    run.wait_until(lambda: (run.folder / "checkpoints/latest").exists())
    fill(larger_disk)
    run.wait_until(lambda: "warning: no checkpoint of step" in run.output.read_text())
    run.process.send_signal(signal.SIGTERM)
    failed(run, "asked to stop after step ", NO_SPACE)
    last = files.candidates(run.folder / "checkpoints")[0]
    files.verify(last)
    (larger_disk / "filler").unlink()
    flags = [*QUIET, "--train.max_steps", str(files.step_of(last) + 2), "--run.resume", "auto"]
    again = start_line([*TRAIN, *flags, "--run.dir", str(run.folder)], tmp_path / "again")
    again.folder = run.folder
    assert again.end()[0] == DONE, again.output.read_text()
    steps = [line["step"] for line in metrics_of(run.folder)]
    assert steps == list(range(1, files.step_of(last) + 3))


def test_a_disk_that_is_full_for_a_while_loses_no_line(disk: Path, tmp_path: Path) -> None:
    flags = [*ENDLESS, "--checkpoint.every_steps", "0"]
    run = start_line([*TRAIN, *flags, "--run.dir", str(disk / "run")], tmp_path / "run")
    run.folder = disk / "run"
    run.wait_until(lambda: run.steps() >= 2)
    (disk / "run/checkpoints").rmdir()
    (disk / "run/checkpoints").symlink_to(tmp_path)  # room for the checkpoint of the stop
    fill(disk)
    run.wait_until(lambda: "warning: metrics.jsonl cannot be written: No space" in run.output.read_text())
    (disk / "filler").unlink()
    before = run.steps()
    run.wait_until(lambda: run.steps() > before + 2)
    run.process.send_signal(signal.SIGTERM)
    assert run.end()[0] == STOPPED
    steps = [line["step"] for line in metrics_of(run.folder)]
    assert steps == list(range(1, len(steps) + 1))
    assert files.verify(tmp_path / files.directory_name(len(steps)))


def test_a_quota_and_a_folder_that_vanishes(tmp_path: Path) -> None:
    """A file size limit stands in for a quota: the operating system refuses in the same way."""
    command = " ".join([*TRAIN, *QUIET, "--train.max_steps", "20", "--run.dir", str(tmp_path / "small")])
    small = start_line(["bash", "-c", f"ulimit -f 40; exec {command}"], tmp_path / "small")
    gone = start_alone(tmp_path / "gone", [*ENDLESS, "--checkpoint.every_steps", "0"])
    failed(small, "the checkpoint of step 20: ", "File too large")
    gone.wait_until(lambda: gone.steps() >= 2)
    shutil.rmtree(gone.folder)
    assert_removed(gone)
    assert not gone.folder.exists()


def test_an_rm_that_meets_a_file_being_written(tmp_path: Path) -> None:
    """The folder stays, without what the run had written there."""
    run = start_alone(tmp_path / "run", [*ENDLESS, "--checkpoint.every_steps", "0"])
    run.wait_until(lambda: run.steps() >= 2)
    for path in run.folder.glob("*.*"):
        path.unlink(missing_ok=True)
    (run.folder / "mine").mkdir()
    assert_removed(run)


def assert_removed(run: Launched) -> None:
    code, lines = run.end()
    assert (code, lines[-1]) == (FAILED, f"error: run.dir: {run.folder}: was removed or moved while the run went on")


def test_a_folder_that_becomes_read_only(disk: Path, tmp_path: Path) -> None:
    line = [*TRAIN, *ENDLESS, "--run.dir", str(disk / "run")]
    run = start_line(line, tmp_path / "run")
    run.folder = disk / "run"
    run.wait_until(lambda: run.steps() >= 2)
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
        run.process.send_signal(signal.SIGTERM)
        failed(run, "asked to stop after step ", "Read-only file system")
        again = start_line([*line, "--run.resume", "auto"], tmp_path / "again")
        again.folder = run.folder
        assert again.end()[0] == 2 and "cannot be written (Read-only file system)" in again.output.read_text()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("ranks", [pytest.param(1, marks=LONG_FORM), 2])
def test_memory_that_does_not_suffice_is_one_line_with_the_remedy(ranks: int, tmp_path: Path) -> None:
    flags = [*ENDLESS, "--net.name", "alexnet_2012", "--data.samples", "1024"]
    flags += ["--train.global_batch", str(512 * ranks)]
    words = TRAIN if ranks == 1 else [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--"]
    command = " ".join([*words, *flags, "--run.dir", str(tmp_path / "run")])
    run = start_line(["bash", "-c", f"ulimit -v {7 << 20}; exec {command}"], tmp_path / "run")
    # Which allocator fails first, and how much it names, is not the same each time.
    failed(run, " is out of memory in step 1 (", "): raise train.accumulate (it is 1)")


def test_memory_that_does_not_suffice_for_the_images(tmp_path: Path) -> None:
    """Fewer images of a step would not help."""
    command = " ".join([*TRAIN, *ENDLESS, "--net.name", "alexnet_2012", "--data.samples", "200000"])
    run = start_line(["bash", "-c", f"ulimit -v {7 << 20}; exec {command}"], tmp_path / "run")
    failed(run, "rank 0 is out of memory in its start (", "): use a machine with more memory")


def test_an_older_checkpoint_that_is_reached_again_is_replaced_or_left(tmp_path: Path) -> None:
    """A write that fails between its steps leaves the one before it."""
    first = train_in(tmp_path / "run", [*QUIET, "--train.max_steps", "4", "--checkpoint.every_steps", "2"])
    assert first.code == DONE, first.output
    folder, step = tmp_path / "run/checkpoints", checkpoint(tmp_path / "run", 4)
    step.rename(folder / f".replaced-{step.name}")  # killed in the midst of a replacement
    more = [*QUIET, "--train.max_steps", "6", "--run.resume", "auto", "--checkpoint.every_steps", "6"]
    again = train_in(tmp_path / "run", more)
    assert again.code == DONE, again.output
    assert [path.name for path in files.list_checkpoints(folder)] == [files.directory_name(n) for n in (4, 6)]


def test_what_wandb_could_not_write_is_told(tmp_path: Path) -> None:
    """W&B reports it in its own log only."""
    flags = [*SMOKE, *QUIET[2:6], "--train.epochs", "20", "--train.max_steps", "200", "--train.evaluate", "false"]
    with mounted(tmp_path / "disk", "24k") as curves:
        environment = {"WANDB_MODE": "offline", "WANDB_DIR": str(curves)}
        run = train_in(tmp_path / "run", [*flags, "--tracking.log_every", "1"], environment=environment)
        failed(run, "W&B: its file in ", "is not whole: No space left on device")
        assert len(run.metrics()) == 200 and (run.folder / "summary.json").exists()


@pytest.mark.parametrize("size", ["4k", pytest.param("8k", marks=LONG_FORM), "16k"])
def test_a_disk_that_takes_nothing_or_the_beginning_of_wandb(size: str, tmp_path: Path) -> None:
    """Of its file and of its logs, whose lines must not become traces. What W&B holds back is written, or not, when it
    has said that the run is finished."""
    with mounted(tmp_path / "disk", size) as curves:
        flags = [*SMOKE, *QUIET[2:6], "--train.max_steps", "2", "--train.evaluate", "false"]
        run = train_in(tmp_path / "run", flags, environment={"WANDB_MODE": "offline", "WANDB_DIR": str(curves)})
        assert run.code == FAILED and "Traceback" not in run.output, run.output
        assert run.errors()[-1].startswith("error: trained to the end, but not all of it is on the disk: W&B: its file")
        assert len(run.metrics()) == 2


def test_what_tensorboard_could_not_write_is_told(tmp_path: Path) -> None:
    """Its thread reports errors only when asked, and must not print a traceback."""
    flags = [
        *SMOKE,
        *QUIET[2:6],
        "--train.max_steps",
        "1",
        "--train.evaluate",
        "false",
        "--checkpoint.every_steps",
        "0",
    ]
    command = " ".join([*TRAIN, *flags, "--tracking.with", "tensorboard", "--run.dir", str(tmp_path / "run")])
    run = start_line(["bash", "-c", f"ulimit -f 2; exec {command}"], tmp_path / "run")
    failed(run, "not all of it is on the disk: TensorBoard: ", "File too large")
