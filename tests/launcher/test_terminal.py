"""Closed terminals, unread pipes, and Ctrl-C before training: failing output changes nothing."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT, SMOKE
from launched import start, start_alone, start_line
from long_forms import LONG_FORM
from run_records import exit_of

from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, STOPPED

QUIET = [*SMOKE, "--data.name", "synthetic", "--data.samples", "640", "--tracking.wandb", "false"]
SHORT = [*QUIET, "--train.evaluate", "false", "--train.epochs", "3", "--tracking.log_every", "1"]
ENDLESS = [*QUIET, "--train.evaluate", "false", "--train.epochs", "10000", "--train.max_steps", "100000"]
ENDLESS += ["--tracking.log_every", "1"]
TRAIN = [sys.executable, str(ROOT / "launch/train.py")]
LAYERS = [sys.executable, "-m", "alexnet_dist.cli", "layers", "--net.name", "alexnet_small"]
LAUNCH = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--"]


def lines(folder: Path) -> int:
    return (folder / "metrics.jsonl").read_text().count("\n")


@pytest.mark.parametrize("line", [pytest.param(TRAIN, marks=LONG_FORM), LAUNCH], ids=["alone", "launch"])
def test_a_pipe_that_is_closed_after_three_lines(line: list[str], tmp_path: Path) -> None:
    run = [*line, *SHORT, "--run.dir", "run"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.stdout.close()
    assert process.returncode == DONE and exit_of(tmp_path / "run") == {"code": 0, "reason": "finished"}
    assert lines(tmp_path / "run") == 20 and (tmp_path / "run/summary.json").exists()


def test_streams_that_are_closed_from_the_start(tmp_path: Path) -> None:
    """The first files that a run opens would get their numbers, and so the output."""
    command = f"{sys.executable} {ROOT}/launch/train.py {' '.join(SHORT)} --run.dir run <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == DONE
    assert lines(tmp_path / "run") == 20 and exit_of(tmp_path / "run")["code"] == DONE


def test_a_log_on_a_full_disk_and_a_terminal_that_cannot_show_every_letter(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*TRAIN, *SHORT, "--run.dir", "run"], stdout=full, stderr=full, cwd=tmp_path, check=False)
        shown = subprocess.run(LAYERS, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == DONE and lines(tmp_path / "run") == 20
    assert shown.returncode == FAILED  # a table is what was asked for
    assert shown.stderr == "error: output: No space left on device: not all of it was written\n"
    wrong = [*TRAIN, "--run.dir", "naïve/…", "--optim.lr", "ä" * 300]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    refused = subprocess.run(wrong, capture_output=True, env=ascii_only, check=False)
    assert refused.returncode == 2 and refused.stderr.startswith(b"error: optim.lr: \\xe4"), refused.stderr


@pytest.mark.parametrize("line", [pytest.param(TRAIN, marks=LONG_FORM), LAUNCH], ids=["alone", "launch"])
def test_a_terminal_that_closes(line: list[str], tmp_path: Path) -> None:
    """The kernel sends SIGHUP to the processes on it, and every write fails."""
    terminal, end = pty.openpty()
    run = start_on_terminal([*line, *ENDLESS, "--run.dir", "run"], tmp_path, end)
    os.close(end)
    metrics = tmp_path / "run/metrics.jsonl"
    while not metrics.exists() or lines(tmp_path / "run") < 2:
        assert run.poll() is None
        drain(terminal)
        time.sleep(0.05)
    os.close(terminal)
    assert run.wait(120) == STOPPED and exit_of(tmp_path / "run")["code"] == STOPPED
    done = lines(tmp_path / "run")
    assert exit_of(tmp_path / "run")["reason"].startswith(f"asked to stop after step {done}, which is saved")


def start_on_terminal(line: list[str], folder: Path, end: int) -> subprocess.Popen[bytes]:
    """As a login shell does: the process leads a session with this controlling terminal."""
    take = partial(fcntl.ioctl, end, termios.TIOCSCTTY, 0)
    return subprocess.Popen(
        line, stdin=end, stdout=end, stderr=end, cwd=folder, start_new_session=True, preexec_fn=take, pass_fds=[end]
    )


def drain(terminal: int) -> None:
    os.set_blocking(terminal, False)
    with suppress(BlockingIOError):
        os.read(terminal, 65536)


@pytest.mark.parametrize("ranks", [pytest.param(1, marks=LONG_FORM), 2])
def test_hangups_save_the_run_and_nohup_goes_on(ranks: int, tmp_path: Path) -> None:
    """The ending shell and the kernel send one each."""
    flags = ENDLESS if ranks == 1 else [*ENDLESS, "--strategy.name", "split"]
    run = start_alone(tmp_path / "run", flags) if ranks == 1 else start(tmp_path / "run", 2, flags)
    whole = [*(TRAIN if ranks == 1 else LAUNCH), *SHORT, "--run.dir", str(tmp_path / "nohup")]
    deaf = start_line(["nohup", *whole], tmp_path / "nohup")
    run.wait_until(lambda: run.steps() >= 2)
    for _ in range(3):
        run.process.send_signal(signal.SIGHUP)
    code, printed = run.end()
    assert code == STOPPED and printed[-1].startswith(
        f"stopped: asked to stop after step {run.steps()}, which is saved"
    )
    assert run.exit()["code"] == STOPPED
    if deaf.process.poll() is None:
        deaf.process.send_signal(signal.SIGHUP)
    assert deaf.end()[0] == DONE and deaf.steps() == 20


@pytest.mark.parametrize("module", ["alexnet_dist.errors", "pydantic", "torch.nn", "accelerate"])
def test_ctrl_c_before_training_is_one_line(module: str, tmp_path: Path) -> None:
    """During the imports, including torch's own. Before the first of them Python itself answers."""
    run = start_alone(tmp_path / "run", ENDLESS, {"PYTHONVERBOSE": "1"})
    run.wait_until(lambda: f"import '{module}'" in run.output.read_text(errors="replace"))
    run.process.send_signal(signal.SIGINT)
    code, printed = run.end()
    assert code == INTERRUPTED and printed.count("error: interrupted") == 1
    assert not any(line.startswith("Traceback") for line in printed) and not (tmp_path / "run/metrics.jsonl").exists()
