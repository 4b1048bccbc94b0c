"""The commands of README and docs: what is quick is run, all others are read as the program reads them.

docs/teaching.md, docs/python.md and docs/recipe.md have tests of their own, which run them.
"""

import os
import re
import shlex
from pathlib import Path

import preloaded
import pytest
import torch
from conftest import ROOT
from run_records import metrics_of

from alexnet_dist import cli
from alexnet_dist.commands import launch
from alexnet_dist.compare.config import load_comparison
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.launcher.launch_line import CLI
from alexnet_dist.registry import commands

PAGES = [ROOT / "README.md", *(ROOT / f"docs/{name}.md" for name in
         ("checkpoints", "compare", "data", "extending", "gpu", "howto", "recipe", "results", "slurm"))]  # fmt: skip
# Lines that start with another program, and where it is run instead.
ELSEWHERE = {
    "launch/quickstart.sh": "ten minutes; docs/teaching.md has its commands",
    "launch/test.sh": "runs this test",
    "launch/gpu_check.sh": "tests/gpu_check",
    "sbatch": "tests/slurm",
    "srun": "tests/slurm",
    "torchrun": "tests/launcher/test_places.py",
    "apptainer": "is not on the machines of the tests; tests/slurm has another container",
}
PLUGINS = ("--optim.schedule", "linear", "--data.name=my_images")  # the pages' own, which have a test below
QUICK = ("strategies", "layers", "completion", "--help", "--print_config", "--for-ranks")


OURS = ("alexnet-dist", "python launch/", "accelerate launch")


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def shell_lines(page: Path) -> list[str]:
    """Without the prompt, and without variables in front."""
    whole = re.sub(r"\\\n\s*", " ", "".join(blocks(page, "", "bash"))).splitlines()
    return [re.sub(r"^(\$ |[A-Z_]+=\S* )*", "", line) for line in whole]


def command_lines(page: Path) -> list[list[str]]:
    """Words of every line that starts one of our programs."""
    return [shlex.split(line, comments=True) for line in shell_lines(page) if line.startswith(OURS)]


def as_ours(words: list[str]) -> list[str]:
    """The command and flags of `alexnet-dist` that a line stands for."""
    if words[0] == "alexnet-dist":
        return words[1 : words.index(">")] if ">" in words else words[1:]
    script = next(number for number, word in enumerate(words) if word.startswith("launch/"))
    return [Path(words[script]).stem, *words[script + 1 :]]


def is_read(name: str, flags: list[str]) -> None:
    """Every flag is known and every value is allowed."""
    if name == "launch":
        cut = flags.index("--")
        launch.FLAGS.split(flags[:cut])
        name, flags = "train", flags[cut + 1 :]
    if name == "train":
        resolve(load([flag for flag in flags if flag != "--print_config"]), 4)
        return
    own, rest = commands[name].flags.split(flags)
    if name == "compare" and own.from_ is None:
        load_comparison(rest)
    elif name != "compare":
        load(rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    lines = command_lines(page)
    assert lines or {line.split()[0] for line in shell_lines(page)} <= ELSEWHERE.keys()
    for words in lines:
        name, *flags = as_ours(words)
        flags = [flag for flag in flags if flag not in PLUGINS]
        if name in QUICK or set(flags) & set(QUICK):
            assert cli.main([name, *flags]) in (0, 2 if "--for-ranks" in flags else 0), words
        else:
            is_read(name, flags)


def test_every_other_program_is_run_somewhere() -> None:
    for page in PAGES:
        for line in "".join(blocks(page, "bash")).splitlines():
            first = line.split(" ")[0]
            known = first in ELSEWHERE or line.startswith((*OURS, "#", " ", "export ", "first="))
            assert known or not first, f"{page.name}: {line}"


def test_the_plugins_of_the_pages_train(tmp_path: Path) -> None:
    """Each is one file; both at once, on a data set of the test's own."""
    for page, name in (("extending", "my_schedule"), ("data", "my_images")):
        (block,) = blocks(ROOT / f"docs/{page}.md", "python")
        (tmp_path / f"{name}.py").write_text(block)
    for part in ("train", "test"):
        torch.save(
            (torch.randint(256, (8, 3, 40, 30), dtype=torch.uint8), torch.arange(8) % 5), tmp_path / f"{part}.pt"
        )
    flags = ["--data.name=my_images", "--data.root", str(tmp_path), "--optim.schedule", "linear", "--net.name"]
    flags += ["alexnet_small", "--train.global_batch", "4", "--tracking.wandb", "false"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {"ALEXNET_DIST_PLUGINS": "my_schedule,my_images", "PYTHONPATH": path}
    done = preloaded.run([*CLI, "train", *flags, "--run.dir", str(tmp_path / "run")], environment)
    assert done.returncode == 0, done.stderr
    assert [line["lr"] for line in metrics_of(tmp_path / "run")] == pytest.approx([1e-3, 5e-4])
