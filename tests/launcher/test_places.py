"""Unusual environments: a container without the user, macOS, a read-only disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import launched
import pytest
from conftest import ROOT, Train, accelerate_launch, unavailable
from long_forms import LONG_FORM
from run_records import exit_of

from alexnet_dist.errors import DONE, STOPPED

MACOS = str(Path(__file__).with_name("macos"))
SEVERAL = str(Path(__file__).with_name("several_commands.py"))
FLAGS = [
    "--config", str(ROOT / "configs/smoke.yaml"), "--data.name", "synthetic", "--data.samples", "128",
    "--train.max_steps", "2", "--train.evaluate", "false",
]  # fmt: skip
NO_WANDB = ["--tracking.wandb", "false"]


@pytest.fixture
def nobody() -> list[str]:
    """Words in front of a command that run it as a user unknown to the system, without HOME."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        unavailable("needs root and setpriv")
    reads = "+dac_override"  # wherever Python and the package lie
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    user += [f"--inh-caps={reads}", f"--ambient-caps={reads}"]
    return [*user, "env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", "-u", "XDG_CACHE_HOME"]


def output(line: list[str], code: int = 0) -> str:
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    assert done.returncode == code and "Traceback" not in done.stdout, done.stdout
    return done.stdout


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("zero1", marks=LONG_FORM)])
def test_two_ranks_of_a_user_whom_the_system_does_not_know(nobody: list[str], strategy: str, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--"]
    flags = [*FLAGS, *NO_WANDB, "--strategy.name", strategy, "--run.dir", str(tmp_path / "run")]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    assert "done in" in output([*nobody, f"TMPDIR={temporary}", *launch, *flags])
    left = [path.name for path in temporary.iterdir()]
    assert [name for name in left if not name.startswith("torchinductor")] == []  # torch's cache


def test_without_a_home_folder_data_and_tracking_are_one_line(nobody: list[str], tmp_path: Path) -> None:
    train = [*nobody, sys.executable, str(ROOT / "launch/train.py"), "--run.dir", str(tmp_path / "run")]
    named = output([*train, *NO_WANDB, "--config", str(ROOT / "configs/smoke.yaml"), "--data.root", "~/images"], 2)
    assert named == "error: data.root: ~/images: there is no such home folder: name another, or set HOME\n"
    assert sum("W&B" in line for line in output([*train, *FLAGS]).splitlines()) == 1


@pytest.mark.parametrize("stops", [True, False])
def test_temporary_files_that_are_cleaned_away_while_a_run_goes_on(stops: bool, tmp_path: Path) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    endless = ["--train.max_steps", "100000" if stops else "400", "--train.epochs", "100000"]
    line = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--max-restarts", "1", "--"]
    line += [*FLAGS, *NO_WANDB, *endless, "--run.dir", str(tmp_path / "run")]
    run = launched.start_line(line, tmp_path / "run", {"TMPDIR": str(temporary)})
    run.wait_until(lambda: run.steps() >= 2)
    shutil.rmtree(temporary)
    if stops:
        run.process.send_signal(signal.SIGTERM)
    code, lines = run.end()
    assert code == (STOPPED if stops else DONE) == run.exit()["code"], lines
    assert "done in" in lines[-1] or lines[-1].startswith("stopped: asked to stop after step ")


@pytest.mark.parametrize("ranks", [pytest.param(1, marks=LONG_FORM), 2])
def test_on_macos_as_far_as_it_can_be_simulated(train: Train, ranks: int) -> None:
    done = train(ranks, [*FLAGS, *NO_WANDB], accelerate_launch(ranks), {"PYTHONPATH": MACOS})
    assert done.code == 0, done.output
    # Bytes, where Linux counts kilobytes: the same number is a thousandth.
    assert all(0 < peak < 20_000_000 for peak in done.summary()["peak_memory_bytes"])


def test_a_home_folder_that_cannot_be_written(tmp_path: Path) -> None:
    environment = {"TMPDIR": "/proc/nowhere", "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    line = [sys.executable, str(ROOT / "launch/train.py"), *FLAGS, *NO_WANDB, "--run.dir", str(tmp_path / "run")]
    done = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert exit_of(tmp_path / "run")["code"] == 0


@pytest.mark.usefixtures("nobody")
def test_without_a_folder_for_temporary_files() -> None:
    """A container whose file system is read-only."""
    # Mounted over themselves: this checkout may lie in one of them.
    read_only = (
        "for folder in /tmp /var/tmp /usr/tmp; do "
        "mount --bind $folder $folder && mount -o remount,ro,bind $folder; done 2>/dev/null; cd /proc"
    )
    train = [sys.executable, str(ROOT / "launch/train.py"), *FLAGS, *NO_WANDB]
    line = ["env", "-u", "TMPDIR", "unshare", "--mount", "sh", "-c", f'{read_only}; exec "$@"', "read-only", *train]
    assert output(line, 2).startswith("error: TMPDIR: empty: No usable temporary directory found")


def restrict(folder: Path) -> None:
    """Make a run, and copies of it of which parts may not be read or written, and a folder `secret`."""
    run, secret = folder / "run", folder / "secret"
    output([sys.executable, str(ROOT / "launch/train.py"), *FLAGS, *NO_WANDB, "--run.dir", str(run)])
    copies = {name: shutil.copytree(run, folder / name) for name in ("list", "step", "metrics", "write")}
    secret.mkdir()
    (checkpoint,) = (copies["step"] / "checkpoints").glob("step-*")
    for path in (secret, copies["list"] / "checkpoints", checkpoint, copies["metrics"] / "metrics.jsonl"):
        path.chmod(0)
    (copies["write"] / "checkpoints").chmod(0o500)


def commands_refused(folder: Path) -> list[tuple[list[str], str]]:
    """Commands on what `restrict` made, and what each is told: {0} is `secret`, {1} the system's reason."""
    run, secret = folder / "run", folder / "secret"
    train = ["train", *FLAGS, *NO_WANDB, "--train.max_steps", "3", "--train.epochs", "2"]
    auto = [*train, "--run.resume", "auto", "--run.dir"]
    (checkpoint,) = (folder / "step/checkpoints").glob("step-*")
    unwritable = "cannot be written ({1}): choose another folder"
    # fmt: off
    return [
        ([*train, "--run.dir", f"{secret}/x"], f"run.dir: {{0}}/x: {unwritable}"),
        ([*train, "--run.resume", f"{secret}/x"], "run.resume: {0}/x: cannot be read ({1})"),
        ([*train, "--net.weights", f"{secret}/x"], "net.weights: {0}/x: {1}"),
        ([*train, "--net.weights", str(secret)], "net.weights: {0}: cannot be read ({1})"),
        *(([*train, "--data.name", name, "--data.root", str(secret)], "data.root: {0}: cannot be read ({1})")
          for name in ("fashion_mnist", "imagenet", "image_folder")),
        (["data", "prepare", "image_folder", f"{secret}/x", str(folder / "new")], "SRC: {0}/x: cannot be read ({1})"),
        ([*auto, str(folder / "list")], f"run.dir: {folder}/list: its checkpoints cannot be read ({{1}})"),
        ([*auto, str(folder / "step")], f"checkpoint: {checkpoint}: cannot be read ({{1}})"),
        ([*auto, str(folder / "metrics")], f"run.dir: {folder}/metrics: {unwritable}"),
        ([*auto, str(folder / "write")], f"run.dir: {folder}/write: {unwritable}"),
        (["evaluate", "--checkpoint", str(secret)], "checkpoint: {0}: cannot be read ({1})"),
        (["export", "--checkpoint", str(secret), "--output", "x"], "checkpoint: {0}: cannot be read ({1})"),
        (["export", "--checkpoint", str(run), "--output", f"{secret}/x"],
         "--output: {0}/x: the folder {0} cannot be written to"),
        (["layers", "--output", f"{secret}/x/y"], "--output: {0}/x/y: there is no folder {0}/x: make it first"),
        (["compare", "--dir", str(secret)], "--dir: {0}: is not a folder that can be read ({1})"),
        (["compare", "--from", str(secret)], "--from: {0}: cannot be read ({1})"),
        (["runs", str(run), str(secret)], "run directory: {0}: cannot be read ({1})"),
        (["data", "fetch", "--root", f"{secret}/x"], "data.root: {0}/x: cannot be written ({1})"),
        *((["data", "fetch", name, "--root", str(secret)], "--root: {0}: cannot be written ({1})")
          for name in ("photographs", "tiles")),
        (["data", "verify", str(secret)], "DST: {0}: index.json cannot be read ({1})"),
        (["data", "show", str(secret), "--output", "x.png"], "FOLDER: {0}: cannot be read ({1})"),
        (["doctor", *NO_WANDB, "--run.dir", f"{secret}/x"],
         "run.dir: {0}/x: cannot be written ({1}): choose one that every node can write"),
    ]
    # fmt: on


@pytest.mark.usefixtures("nobody")
def test_what_may_not_be_read_is_named_with_its_field(tmp_path: Path) -> None:
    """Root without its capabilities is like any user. Unreadable files are not taken for damaged or missing."""
    restrict(tmp_path)
    before = sorted(map(str, tmp_path.rglob("*")))
    commands = commands_refused(tmp_path)
    rights = "-dac_override,-dac_read_search"
    line = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", sys.executable, SEVERAL]
    ends = output([*line, json.dumps([words for words, _ in commands])]).splitlines()
    for (words, problem), end in zip(commands, ends, strict=True):
        code, printed = json.loads(end)
        told = f"error: {problem.format(tmp_path / 'secret', 'Permission denied')}"
        assert code == 2 and printed.splitlines().count(told) == 1, (words, printed)
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_torchrun_starts_ranks_too(train: Train) -> None:
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    done = train(2, [*FLAGS, *NO_WANDB], [*torchrun, "--rdzv-endpoint=localhost:0"])
    assert done.code == 0 and done.summary()["world_size"] == 2, done.output
