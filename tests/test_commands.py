"""The commands, as a user types them."""

import os
import re
import subprocess
import sys

import in_process
import pytest
from conftest import ROOT

from alexnet_dist import registry

PLUGINS = str(ROOT / "tests/plugins")


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "alexnet_dist.cli", *words]
    variables = os.environ | environment
    return subprocess.run(line, env=variables, capture_output=True, text=True, timeout=120, check=False)


def imported(*words: str) -> set[str]:
    """The modules that a command imports."""
    return set(re.findall(r"^import '([\w.]+)' #", command(*words, PYTHONVERBOSE="1").stderr, re.MULTILINE))


def test_help_names_every_command_and_every_field() -> None:
    listed = command("--help").stdout
    assert all(f"\n  {entry.name} " in listed and entry.summary in listed for entry in registry.commands)
    shown = command("train", "--help").stdout
    strategies = " | ".join(["auto", *registry.strategies.names()])
    assert "--strategy.name" in shown and f"({strategies})" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 105


@pytest.mark.parametrize(
    "words",
    [
        ["tain"],
        ["runs", "/proc/nowhere"],
        ["parity", "--steps", "1,2"],
        ["bench", "--only", "nothing"],
        ["bench", "loader", "--steps", "3"],
        ["filters", "x", "--output", "y.jpg"],
        ["filters", "a", "b"],
    ],
)
def test_a_slip_is_one_line(words: list[str]) -> None:
    done = in_process.command(*words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--train.epocs", "2"], ["train", "--print_config"], ["strategies"]]
)
def test_what_needs_no_torch_does_not_import_it(words: list[str]) -> None:
    modules = imported(*words)
    assert "alexnet_dist.registry" in modules and not modules & {"torch", "accelerate", "wandb", "numpy"}


def test_a_command_imports_no_other() -> None:
    commands = {name for name in imported("train", "--print_config") if name.startswith("alexnet_dist.commands.")}
    assert commands == {"alexnet_dist.commands.train"}


def test_a_command_from_outside_is_listed_and_run() -> None:
    plugged = {"ALEXNET_DIST_PLUGINS": "toy_command", "PYTHONPATH": os.pathsep.join([PLUGINS, str(ROOT)])}
    assert "\n  toy        prints its flags\n" in command("--help", **plugged).stdout
    done = command("toy", "--a", "b", **plugged)
    assert (done.returncode, done.stdout) == (7, "toy: --a b\n")
    done = command("toy", **plugged)
    assert (done.returncode, done.stderr) == (2, "error: toy: empty: needs flags\n")
    assert "there are: " in command("toy").stderr


def test_configs_are_valid() -> None:
    for path in (ROOT / "configs").glob("*.yaml"):
        done = in_process.command("train", "--config", str(path), "--print_config")
        assert done.returncode == 0 and "net:" in done.stdout, done.stderr
