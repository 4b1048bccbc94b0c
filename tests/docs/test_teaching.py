"""docs/teaching.md: every command in the order of the page, the long ones in a short form, and what it prints."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import preloaded
import pytest
from conftest import ROOT

PAGE = (ROOT / "docs/teaching.md").read_text()
# Added to a command: a later flag wins. The full forms are minutes in all.
_QUICK_RUN = ["--train.max_steps", "2", "--train.evaluate_samples", "100", "--tracking.wandb", "false"]
SHORT = {
    "train": _QUICK_RUN,
    "launch": _QUICK_RUN,
    "parity": ["--steps", "2"],
    "compare": shlex.split(
        "--strategies single --global-batches 16 --rounds 1 --control-rounds 0 --steps 2 --warm-up 2 --seconds 0"
    ),
}
LEFT_BEHIND = ["figure-2.svg", "columns.svg", "cut.svg", *(f"{run}/summary.json" for run in ("whole", "columns"))]
NUMBER = re.compile(r"\d+")
STEP = re.compile(r"^## (\d+)\. ", re.MULTILINE)


def blocks(step: str, language: str) -> list[str]:
    """The lines of a step's blocks of that language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", step, re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines() if line.strip()]


def run(line: str, folder: Path, as_typed: bool) -> str:
    """What a command prints; unless it is run as typed, ranks that a launcher would start are forked."""
    words = shlex.split(line)
    words += SHORT.get(words[1], []) if words[0] == "alexnet-dist" else []
    if words[0] == "alexnet-dist" and not as_typed:
        words = words[1:]
        ranks, own = (int(words[2]), ["train", *words[4:]]) if words[0] == "launch" else (1, words)
        assert ranks == 1 or words[1:4:2] == ["--ranks", "--"]
        done = preloaded.command(*own, ranks=ranks, **preloaded.FORKS_RANKS)
    else:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def words_of(line: str) -> str:
    """Without rules and spacing."""
    return " ".join(re.sub("[\u2500-\u257f]", " ", line).split())


@pytest.mark.usefixtures("fashion_mnist")
def test_the_ten_steps(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    steps = STEP.split(PAGE)[1:]
    assert steps[::2] == [str(number) for number in range(1, 11)]
    for number, step in zip(steps[::2], steps[1::2], strict=True):
        commands = blocks(step, "bash")
        assert commands and "**Look at**" in step
        printed = {
            words_of(line) for command in commands for line in run(command, tmp_path, number == "6").splitlines()
        }
        shown = {words_of(line) for line in blocks(step, "text")}
        if int(number) <= 4:  # what depends on no machine
            assert shown <= printed, number
        elif int(number) <= 6:  # the short forms print other numbers
            assert {NUMBER.sub("0", line) for line in shown} <= {NUMBER.sub("0", line) for line in printed}, number
    lesson = tmp_path / "runs/lesson"
    assert all((lesson / name).stat().st_size for name in [*LEFT_BEHIND, "compare/report.html"])
