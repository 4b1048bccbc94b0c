"""`--help` of every command, as a user reads it."""

import subprocess
import sys

import preloaded
import pytest
from conftest import ROOT
from in_process import command

from alexnet_dist import registry
from alexnet_dist.config.fields import choices
from alexnet_dist.launcher.launch_line import CLI

NAMES = registry.commands.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_command_documents_all_that_it_takes(name: str) -> None:
    done = command(name, "--help")
    assert done.returncode == 0
    shown = done.stdout
    flags = registry.commands[name].flags
    assert shown.startswith(f"usage: alexnet-dist {name} ") and "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 100
    words = " ".join(shown.split())
    for flag in flags.named.values():
        assert f"  {flag.typed} " in shown or f"  {flag.typed}\n" in shown
        assert flag.info.description and flag.info.description in words
        assert " | ".join(choices(flag.info)) in words
    for group in flags.groups:
        assert f"\n{group}: " in shown
    if flags.argument is not None:
        assert f"  {flags.argument[0].upper()} " in shown


def test_the_same_without_words_in_between() -> None:
    assert command("train", "--run.seed", "1", "-h").stdout == command("train", "--help").stdout


def test_defaults_bounds_and_choices_stand_beside_the_meaning() -> None:
    shown = " ".join(command("train", "-h").stdout.split())
    for text in (
        "--train.global_batch N samples of one optimizer step over all ranks (1 to 1000000) [128]",
        "--optim.lr X learning rate of weights at the start (above 0, up to 1000) [0.001]",
        "--optim.momentum X sgd, lars: momentum (from 0, below 1) [0.9]",
        "--net.activation WORD non-linearity; default: the net's own (relu | tanh)",
        "(auto | ddp | fsdp | single | split | zero1 | zero2 | zero3) [auto]",
        "--run.overwrite BOOL delete an earlier run in the same folder [false]",
        "--print-config show the resolved experiment",
    ):
        assert text in shown


def test_comparison_flags_are_documented_with_their_short_form() -> None:
    shown = command("compare", "--help").stdout
    assert "compare: " in shown and "Each flag also without 'compare.'." in shown
    assert "[single,ddp,split]" in shown


def test_a_default_that_is_text_has_no_quotation_marks() -> None:
    assert "(420 | 422 | 444) [420]" in command("data", "--help").stdout


@pytest.mark.parametrize("name", ["train", "launch"])
def test_help_without_docstrings(name: str) -> None:
    """PYTHONOPTIMIZE=2, as some containers set it, strips them."""
    shown = subprocess.run([sys.executable, "-OO", *CLI, name, "--help"], capture_output=True, text=True).stdout
    assert shown.startswith(f"usage: alexnet-dist {name} ") and "None" not in shown


def test_the_program_behind_the_dashes_gets_its_own_help() -> None:
    done = command("launch", "--ranks", "1", "--program", "--print-command", "--", "script.py", "--help")
    assert done.returncode == 0 and done.stdout.rstrip().endswith("script.py --help")


@pytest.mark.parametrize(
    "words, line",
    [
        (["tain"], "command: tain: did you mean train? there are: bench, "),
        (["--versoin"], "command: --versoin: did you mean --version?\n"),
        (["--ranks", "2", "parity"], "command: --ranks: a command comes first, then its flags\n"),
        (["train", "--train.epocs", "2"], "train.epocs: 2: no such field: did you mean train.epochs?\n"),
        (["train", "--strategy.name", "splt"], "strategy.name: splt: did you mean split? Input should be "),
        (["doctor", "--rank", "2"], "--rank: 2: unknown flag: did you mean --ranks?\n"),
        (["launch", "--strategy.name", "split"], "strategy.name: split: belongs after --, among the SETTINGS\n"),
        (["launch", "--config", "x.yaml"], "--config: x.yaml: belongs after --, among the SETTINGS\n"),
        (
            ["train", "--net.name", "alexnet_small", "--net.classes", "7", "--data.name", "synthetic"],
            "net.classes: 7: the 7 outputs of fc8 do not divide into 2 towers: choose a multiple of 2, or net.towers 1",
        ),
        (
            ["train", "--net.name", "alexnet_small", "--net.towers", "3"],
            "net.towers: 3: the 16 outputs of conv1 do not divide into 3 towers: choose 1 or 2\n",
        ),
        (
            ["train", "--run.name", "a/b"],
            "run.name: a/b: Input should be at most 128 letters, digits, '.', '_' and '-', ",
        ),
        (
            ["compare", "--strategies", "ddp:fp8"],
            "compare.strategies.0: ddp:fp8: Input should be a strategy, or one with :fp32 or :bf16 behind its name\n",
        ),
        (
            ["compare", "--strategies", "ddp,splt:bf16"],
            "compare.strategies.1: splt: did you mean split? Input should be 'ddp', ",
        ),
        (["evaluate", "runs/a"], "command line: runs/a: did you mean --checkpoint runs/a?\n"),
        (
            ["filters", "--checkpoint", "runs/a"],
            "--checkpoint: runs/a: is given without a flag: leave out --checkpoint, and write its value alone\n",
        ),
        (["runs"], "FOLDER: empty: is needed: a run's own directory"),
        (["data", "fetsch"], "ACTION: fetsch: did you mean fetch? there are: fetch, prepare, verify, show\n"),
        (["data", "verify", "s3://b/x"], "DST: s3://b/x: Input should be on a disk of this machine, not an address; "),
        (["train", "--run.dir", "s3://b/x"], "run.dir: s3://b/x: Input should be on a disk of this machine, "),
        (
            ["train", "--data.name", "imagenet", "--data.root", "memory://b", "--data.stage", "x"],
            "data.root: memory://b: cannot be read (it is not there)\n",
        ),
        (["export", "--output", "x"], "--checkpoint: empty: is needed: a checkpoint, or the directory of a run\n"),
        (["bench", "--only", "nrom"], "--only: nrom: "),
        (["parity", "--strategies", "ddp,splt"], "--strategies: splt: did you mean split? "),
    ],
)
def test_a_slip_is_one_line_with_what_was_meant(words: list[str], line: str) -> None:
    done = command(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {line}")


def test_the_names_of_plugins_are_choices() -> None:
    plugged = {"ALEXNET_DIST_PLUGINS": "toy_net", "PYTHONPATH": str(ROOT / "tests/plugins")}
    assert "| toy_net)" in " ".join(preloaded.run([*CLI, "train", "--help"], plugged).stdout.split())
    done = preloaded.run([*CLI, "train", "--net.name", "toynet"], plugged)
    assert done.stderr.startswith("error: net.name: toynet: did you mean toy_net? ")
