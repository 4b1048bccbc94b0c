"""The command line itself: versions, help in every spelling, and errors that belong to no command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_commands import command

from alexnet_dist.cli import main
from alexnet_dist.errors import DONE, FAILED, USAGE


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_the_version_is_one_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == DONE
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("alexnet-dist 0.") and ", python 3." in line and ", torch 2." in line


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    for one, other in (([], ["help"]), (["train", "--help"], ["help", "train"])):
        assert main(one) == DONE
        shown = capsys.readouterr().out
        assert main(other) == DONE and capsys.readouterr().out == shown
    assert main(["help", "trian"]) == USAGE and "did you mean train?" in capsys.readouterr().err


def test_the_package_is_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "alexnet_dist", "-V"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("alexnet-dist 0.")


PATHS = [
    ["train", "--run.dir"], ["train", "--run.resume"], ["train", "--net.weights"], ["train", "--data.root"],
    ["evaluate", "--checkpoint"], ["export", "--output", "x", "--checkpoint"],
    ["export", "--checkpoint", "x", "--output"],
    ["predict", "x", "--checkpoint"], ["predict", "--checkpoint", "x"], ["runs"], ["layers", "--output"],
    ["doctor", "--output"], ["data", "fetch", "--root"], ["compare", "--dir"], ["compare", "--from"],
    ["data", "verify"], ["data", "show"], ["data", "prepare", "image_folder", "x"],
]  # fmt: skip


@pytest.mark.parametrize("words", PATHS, ids=" ".join)
def test_no_file_has_such_a_name(words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An unset shell variable, the home folder of an unknown user, a name that no file system accepts."""
    for name, why in (
        ("", "Input should name a file or a folder"),
        ("~nobody-here/x", "there is no such home folder"),
        ("x/${NO_SUCH_VARIABLE}/y", "the variable NO_SUCH_VARIABLE is not set"),
        ("x" * 300, "Input should have at most 255 bytes in a name"),
        ("x/" * 2500, "Input should have at most 255 bytes in a name and 4095 in all"),
    ):
        assert main([*words, name]) == USAGE
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line and line.startswith(f"error: {words[-1].lstrip('-') if '.' in words[-1] else ''}")
    assert not list(tmp_path.iterdir())


def test_the_home_folder_has_a_short_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A shell does not replace ~ after an = sign, nor in a file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.yaml").write_text("run: {dir: ~/deep}\n")
    for flags in (["--run.dir=~/deep"], ["--config=~/own.yaml"]):
        assert main(["train", "--print-config", *flags]) == DONE
        assert f"  dir: {tmp_path}/deep  # set" in capsys.readouterr().out


def test_a_file_of_settings_may_name_a_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As cluster users write them; without a value, a folder called $SCRATCH would fill the wrong disk."""
    (tmp_path / "own.yaml").write_text("run: {dir: $SCRATCH/deep}\n")
    monkeypatch.delenv("SCRATCH", raising=False)
    assert main(["train", "--config", "own.yaml"]) == USAGE
    assert "error: run.dir: $SCRATCH/deep: the variable SCRATCH is not set, or is empty: " in capsys.readouterr().err
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    assert main(["train", "--print-config", "--config", "own.yaml"]) == DONE
    assert f"  dir: {tmp_path}/deep  # set" in capsys.readouterr().out
    (tmp_path / "cash$SCRATCH").mkdir()
    assert main(["train", "--print-config", "--run.dir", "cash$SCRATCH"]) == DONE
    assert "  dir: cash$SCRATCH  # set" in capsys.readouterr().out


def test_a_name_in_a_file_has_no_zero_byte(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "zero.yaml").write_text('run: {dir: "a\\0b"}\n')
    assert main(["train", "--config", "zero.yaml"]) == USAGE
    assert "Input should name a file or a folder" in capsys.readouterr().err


def test_a_working_folder_that_was_deleted() -> None:
    """torch cannot be imported from there."""
    line = f"mkdir gone; cd gone; rmdir ../gone; exec {sys.executable} {ROOT / 'launch/train.py'}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == USAGE and done.stdout == ""
    assert done.stderr == "error: working folder: empty: No such file or directory: change to one that exists\n"


def test_what_the_operating_system_refuses_is_one_line() -> None:
    """After all other output, also where both streams go to one file."""
    line = [sys.executable, "-m", "alexnet_dist", "toy_refused"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/plugins")])
    environment = {"PYTHONPATH": path, "ALEXNET_DIST_PLUGINS": "toy_refused"}
    done = subprocess.run(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    assert done.returncode == FAILED
    assert done.stdout == "begun\nerror: No such file or directory: /proc/nowhere/x\n"


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_terminal_without_size_shows_all_the_same(name: str) -> None:
    shown = command("strategies", **{name: "0"})
    assert shown.returncode == DONE and shown.stdout == command("strategies").stdout
