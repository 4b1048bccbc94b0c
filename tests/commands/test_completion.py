"""The completion scripts, in the shells that read them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PRESS_TAB = Path(__file__).with_name("press_tab.sh")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "alexnet-dist"
    line = [sys.executable, "-m", "alexnet_dist.cli", "completion", "bash"]
    path.write_text(subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout)
    return path


def offered(script: Path, *words: str) -> list[str]:
    line = ["bash", str(PRESS_TAB), str(script), "alexnet-dist", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    "words, expected",
    [
        (["tra"], ["train"]),
        (["train", "--strategy.na"], ["--strategy.name"]),
        (["train", "--strategy.name", "s"], ["single", "split"]),
        (["train", "--net.name", "alexnet_2012", "--net.activation", ""], ["relu", "tanh"]),
        (["train", "--tracking.wandb", "f"], ["false"]),
        (["train", "--print"], ["--print-config"]),
        (["compare", "--global"], ["--global-batches"]),
        (["launch", "--max"], ["--max-restarts"]),
        (["launch", "--ranks", "2", "--", "--strategy.na"], ["--strategy.name"]),
        (["launch", "--ranks", "2", "--", "--strategy.name", "s"], ["single", "split"]),
        (["data", "fe"], ["fetch"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_the_tab_key_in_bash(script: Path, words: list[str], expected: list[str]) -> None:
    assert offered(script, *words) == expected


def test_files_are_offered_where_one_is_wanted(script: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    assert offered(script, "train", "--config", "mi") == ["mine.yaml"]


def test_zsh_reads_its_script(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "alexnet_dist.cli", "completion", "zsh"]
    text = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout
    assert text.startswith("#compdef alexnet-dist")
    options = [option.strip() for option in text.splitlines() if option.strip().startswith('"--strategy.name[')]
    assert len(options) >= 5 and all(
        option.endswith(':(auto ddp fsdp single split zero1 zero2 zero3)"') for option in options
    )
    zsh = shutil.which("zsh")
    if zsh is not None:
        (tmp_path / "_alexnet-dist").write_text(text)
        subprocess.run([zsh, "-n", str(tmp_path / "_alexnet-dist")], timeout=60, check=True)
