"""Nets, data sets, strategies, precisions, optimizers and schedules from outside the package, by the command line.

Commands, metrics, trackers and columns of compare are tested beside their kinds.
"""

import os
import subprocess
from pathlib import Path

import preloaded
import pytest
from conftest import ROOT
from run_records import metrics_of, summary_of

PLUGINS = ROOT / "tests/plugins"
SMALL = ["--net.name", "alexnet_small", "--train.global_batch", "16", "--tracking.wandb", "false"]
SHORT = ["--data.samples", "64", "--train.max_steps", "4", "--checkpoint.every_steps", "0"]


@pytest.fixture
def forked_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks are forked, not started by a launcher."""
    for name, value in preloaded.FORKS_RANKS.items():
        monkeypatch.setenv(name, value)


def command(*words: str, plugins: str, path: Path = PLUGINS) -> subprocess.CompletedProcess[str]:
    found = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    return preloaded.command(*words, ALEXNET_DIST_PLUGINS=plugins, PYTHONPATH=found)


def test_a_net_a_data_set_and_a_precision(tmp_path: Path) -> None:
    flags = ["--net.name", "toy_net", "--data.name", "toy_data", "--train.precision", "toy_bf16"]
    flags += [*SHORT, "--data.samples", "640", "--train.max_steps", "60", "--train.epochs", "2", "--optim.lr", "0.01"]
    flags += ["--train.global_batch", "16", "--tracking.wandb", "false", "--run.dir", str(tmp_path / "run")]
    done = command("train", *flags, plugins="toy_net, toy_data, toy_precision")
    assert done.returncode == 0, done.stderr
    summary = summary_of(tmp_path / "run")
    # 5 x 5 x 8 weights and 8 biases; 8 maps of 8 x 8 to 32 units; 32 to 10.
    assert (summary["net"], summary["parameters"]) == ("toy_net", 208 + 512 * 32 + 32 + 330)
    assert (summary["precision"], summary["eval"]["unique_samples"]) == ("toy_bf16", 640)
    assert summary["model_memory_bytes"]["held"]["parameters"] == 2 * summary["parameters"]
    assert summary["eval"]["top1"] > 0.9  # where the stripe is tells the label


def test_an_optimizer_and_a_schedule(tmp_path: Path) -> None:
    flags = [*SMALL, "--data.name", "synthetic", *SHORT, "--optim.name", "toy_sgd", "--optim.schedule", "toy_linear"]
    done = command(
        "train", *flags, "--optim.lr", "0.8", "--optim.momentum", "0.5", "--optim.milestones", "[1]",
        "--run.dir", str(tmp_path / "run"), plugins="toy_optimizer,toy_schedule",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = summary_of(tmp_path / "run")
    assert [step["lr"] for step in metrics_of(tmp_path / "run")] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert summary["model_memory_bytes"]["held"]["optimizer"] == 0
    for field in ("optim.momentum: 0.5 has no effect with optim.name toy_sgd", "optim.milestones: [1] has no effect"):
        assert field in done.stdout


def test_a_strategy_in_a_run_on_two_ranks(tmp_path: Path) -> None:
    """Every rank loads the plugin, whichever launcher starts the ranks."""
    flags = [*SMALL, "--data.name", "synthetic", *SHORT, "--strategy.name", "toy", "--train.accumulate", "2"]
    done = command("launch", "--ranks", "2", "--", *flags, "--run.dir", str(tmp_path / "run"), plugins="toy_strategy")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = summary_of(tmp_path / "run")
    traffic = summary["comm_bytes_per_step"]
    assert traffic["counted"] == traffic["expected"] == {"all_reduce": 4 * summary["parameters"]}
    memory = summary["model_memory_bytes"]
    assert memory["held"] == pytest.approx(memory["expected"], rel=1e-3)  # Adam's counts of steps are not predicted


@pytest.mark.usefixtures("forked_ranks")
def test_a_strategy_that_interleaves_micro_batches_is_the_same_training() -> None:
    """By the command `parity`, beside one of the program's own."""
    flags = [*SMALL, "--data.name", "synthetic", "--data.samples", "64", "--train.accumulate", "2"]
    flags += ["--train.precision", "fp64", "--strategies", "toy,ddp", "--ranks", "2", "--steps", "3"]
    done = command("parity", *flags, plugins="toy_strategy")
    assert done.returncode == 0 and done.stdout.count("same") == 2, done.stdout + done.stderr
    assert "1e-12" in done.stdout and max(map(len, done.stdout.splitlines())) <= 100


def test_a_strategy_is_explained_beside_the_others() -> None:
    shown = command("strategies", *SMALL, plugins="toy_strategy")
    assert shown.returncode == 0 and shown.stdout.count("toy") == 2, shown.stdout + shown.stderr


def test_help_lists_every_name() -> None:
    kinds = ("strategy", "net", "data", "precision", "optimizer", "schedule")
    shown = command("train", "--help", plugins=",".join(f"toy_{kind}" for kind in kinds)).stdout.split()
    for name in ("toy)", "toy_net)", "toy_data)", "toy_bf16)", "toy_sgd)", "toy_linear)"):  # the last of the choices
        assert name in shown


@pytest.mark.parametrize("words", [["train"], ["--help"], ["strategies"]])
def test_a_plugin_that_cannot_be_imported_is_one_line(words: list[str]) -> None:
    done = command(*words, plugins="toy_net,nowhere")
    assert done.returncode == 2
    assert done.stderr == (
        "error: ALEXNET_DIST_PLUGINS: nowhere: cannot be imported (ModuleNotFoundError: No module named 'nowhere'): "
        "is its folder in PYTHONPATH?\n"
    )


def test_a_net_whose_ranks_would_lack_maps_is_refused(tmp_path: Path) -> None:
    """An exchange is missing before a layer that sees every map, or before the loss."""
    net = (PLUGINS / "toy_net.py").read_text()
    for name, line in (
        ("no_middle", 'Exchange("exchange_fc3")'),
        ("no_end", 'Exchange("exchange_logits", logits=True)'),
    ):
        assert net.count(f"            {line},\n") == 1
        (tmp_path / f"{name}.py").write_text(net.replace(f"            {line},\n", "").replace("toy_net", name))
    for name, towers, remedy in (
        ("no_middle", 1, "cannot be cut into 2: fc3 sees every map, so its table needs an Exchange before fc3"),
        ("no_end", 2, "cannot be cut: its table must end in Exchange(NAME, logits=True)"),
    ):
        flags = ["--net.name", name, "--net.towers", str(towers), "--ranks", "2"]
        refused = command("layers", *flags, plugins="no_middle,no_end", path=tmp_path)
        assert (refused.returncode, refused.stderr) == (2, f"error: net.name: {name}: {remedy}\n")


@pytest.mark.usefixtures("forked_ranks")
def test_a_net_from_outside_is_cut() -> None:
    flags = ["--net.name", "toy_net", "--data.name", "synthetic", "--data.samples", "64", "--tracking.wandb", "false"]
    flags += ["--train.precision", "fp64", "--train.global_batch", "16", "--strategies", "split", "--ranks", "2"]
    done = command("parity", *flags, "--steps", "2", plugins="toy_net")
    assert done.returncode == 0 and done.stdout.count("same") == 1, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["nets", "strategies", "commands"])
def test_a_name_that_is_taken_is_one_line(kind: str, tmp_path: Path) -> None:
    """Whether the plugin or the program's own entry is imported first."""
    taken = {"nets": "alexnet_small", "strategies": "ddp", "commands": "train"}[kind]
    entry = f"type('Entry', (), {{'name': {taken!r}, 'summary': ''}})()"
    (tmp_path / "again.py").write_text(f"from alexnet_dist import registry\nregistry.{kind}.register({entry})\n")
    done = command("train", "--help", plugins="again", path=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ALEXNET_DIST_PLUGINS: again: cannot be imported (ValueError: there is a ")
    assert f"called {taken} already" in done.stderr


def test_an_installed_distribution_registers_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text((PLUGINS / "toy_net.py").read_text().replace("toy_net", "outside_net"))
    (tmp_path / "outside-1.0.dist-info").mkdir()
    (tmp_path / "outside-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (tmp_path / "outside-1.0.dist-info/entry_points.txt").write_text("[alexnet_dist.plugins]\nnets = outside\n")
    shown = command("train", "--help", plugins="", path=tmp_path)
    assert shown.returncode == 0 and "outside_net)" in shown.stdout.split(), shown.stderr
