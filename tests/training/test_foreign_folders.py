"""Folders that are not this program's: nothing in them changes, whatever command is given them; and folders that are
empty, however they came about, are used."""

import shutil
import subprocess
from pathlib import Path

import preloaded
import pytest
from conftest import ROOT, SMOKE
from run_records import metrics_of
from small_disks import mounted

from alexnet_dist.errors import DONE, USAGE
from alexnet_dist.training.checkpoints import files

QUIET = [*SMOKE, "--data.name", "synthetic", "--data.samples", "64", "--tracking.wandb", "false"]
QUIET += ["--train.evaluate", "false"]
SLIP, OVERWRITE, AUTO = ["--optim.lr", "abc"], ["--run.overwrite", "true"], ["--run.resume", "auto"]
OWN_EXPERIMENT = "net: {name: alexnet_small}\nrun: {seed: 7}\n"  # a config.yaml that --config reads

FOREIGN: list[dict[str, str]] = [
    {"exit.json": '{"status": "mine"}'},
    {"exit.json": '{"code": 1, "reason": "mine"}', "thesis.tex": "years of work"},
    {"exit.json": "[1]", "exit.tmp": "mine", ".exit.json.tmp": "mine"},
    {"config.yaml": OWN_EXPERIMENT},
    {"config.yaml": OWN_EXPERIMENT, "wandb/run-1/files": "curves", "checkpoints/epoch_1.pt": "weights"},
    {"config.yaml": OWN_EXPERIMENT, "launcher.json": '{"port": 1}', "metrics.jsonl": "{}", "summary.json": "{}"},
    {"checkpoints/epoch_1.pt": "weights"},
    {"wandb/run-1/files": "curves"},
]


def train(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run([str(ROOT / "launch/train.py"), *QUIET, "--run.dir", str(folder), *flags])


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def make(folder: Path, given: dict[str, str]) -> Path:
    for name, text in given.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_nothing_of_the_users_is_touched(tmp_path: Path) -> None:
    folders = [make(tmp_path / str(number), given) for number, given in enumerate(FOREIGN)]
    before = contents(tmp_path)
    starts = [(folder, SLIP) for folder in folders]
    starts += [(folder, [OVERWRITE, AUTO][number % 2]) for number, folder in enumerate(folders)]
    for folder, flags in starts:
        done = train(folder, *flags)
        assert done.returncode == USAGE and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert contents(tmp_path) == before, done.args


def test_a_run_with_the_users_notes_is_gone_on_with_and_never_deleted(tmp_path: Path) -> None:
    first = train(tmp_path / "run")
    assert first.returncode == DONE, first.stderr
    notes = make(tmp_path / "run", {"notes.txt": "mine", "checkpoints/best.pt": "mine"})
    before = contents(notes)
    done = train(notes, *OVERWRITE)
    assert done.returncode == USAGE and "is no run directory (it holds notes.txt)" in done.stderr
    assert contents(notes) == before
    (notes / "notes.txt").unlink()
    again = train(notes, *OVERWRITE, "--train.epochs", "2")
    assert again.returncode == DONE, again.stderr
    assert (notes / "checkpoints/best.pt").read_text() == "mine"
    assert [path.name for path in files.list_checkpoints(notes / "checkpoints")] == [files.directory_name(2)]


def test_a_link_to_scratch_for_the_checkpoints(tmp_path: Path) -> None:
    """From the start, through an overwrite, to a resume; also where scratch was purged."""
    scratch, folder = tmp_path / "scratch", tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoints").symlink_to(scratch)  # is not there yet
    for flags in ([], OVERWRITE, [*AUTO, "--train.epochs", "2"]):
        done = train(folder, *flags)
        assert done.returncode == DONE, done.stderr
        assert (folder / "checkpoints").is_symlink() and files.list_checkpoints(scratch)
    step = files.list_checkpoints(scratch)[-1]
    own = train(folder, *OVERWRITE, "--run.resume", str(step))
    assert own.returncode == USAGE and "would delete the run that run.resume" in own.stderr
    shutil.rmtree(scratch)
    anew = train(folder, *AUTO)
    assert anew.returncode == DONE and len(files.list_checkpoints(scratch)) == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "checkpoints").symlink_to(scratch)
    mixed = train(other)
    assert mixed.returncode == USAGE and "is no run directory (it holds checkpoints)" in mixed.stderr


def test_a_run_is_overwritten_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file deep in its folder that cannot be deleted; a folder that is another disk's."""
    assert train(tmp_path / "run").returncode == DONE
    before, step = contents(tmp_path), tmp_path / "run/checkpoints" / files.directory_name(1)
    hindrances = [
        (["chattr", "+i", str(step / files.MANIFEST)], ["chattr", "-i", str(step / files.MANIFEST)]),
        (["mount", "--bind", "-o", "ro", str(step), str(step)], ["umount", "--lazy", str(step)]),
    ]
    for hinder, undo in hindrances:
        if subprocess.run(hinder, capture_output=True, check=False).returncode:
            pytest.skip(f"only root can {hinder[0]}, and not on every file system")
        try:
            done = train(tmp_path / "run", *OVERWRITE)
        finally:
            subprocess.run(undo, check=True)
        assert done.returncode == USAGE and done.stderr.count("\n") == 1, done.stderr
        assert "run: its earlier run cannot be deleted (" in done.stderr and f": {step}" in done.stderr
        assert contents(tmp_path) == before
    assert train(tmp_path / "run", *OVERWRITE).returncode == DONE


def test_what_another_run_goes_on_from_is_overwritten_nowhere_else(tmp_path: Path) -> None:
    """`--run.resume A --run.dir B --run.overwrite true` is refused where B is A, by whatever name, and only there."""
    for name in ("A", "B"):
        assert train(tmp_path / name).returncode == DONE
    (tmp_path / "link").symlink_to(tmp_path / "A")
    before = contents(tmp_path / "A")
    for resume in (tmp_path / "A", tmp_path / "A/checkpoints" / files.directory_name(1)):
        for folder in (tmp_path / "A", tmp_path / "link"):
            done = train(folder, "--run.resume", str(resume), *OVERWRITE)
            assert done.returncode == USAGE and "run.overwrite: true: would delete the run" in done.stderr
    done = train(tmp_path / "B", "--run.resume", str(tmp_path / "A"), *OVERWRITE, "--train.epochs", "2")
    assert done.returncode == DONE, done.stderr
    assert contents(tmp_path / "A") == before
    assert [line["step"] for line in metrics_of(tmp_path / "B")] == [1, 2]


@pytest.mark.parametrize("holds", ["nothing", "lost+found", "a refusal"])
def test_an_empty_mount_point_is_used(holds: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "volume", "8m") as folder:
        if holds == "lost+found":
            (folder / holds).mkdir(mode=0o700)
        if holds == "a refusal":
            assert train(folder, *SLIP).returncode == USAGE and (folder / "exit.json").exists()
        done = train(folder)
        assert done.returncode == DONE, done.stderr
        again = train(folder, *OVERWRITE)
        assert again.returncode == DONE, again.stderr
        assert (folder / "lost+found").exists() == (holds == "lost+found")
