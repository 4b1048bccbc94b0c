"""One live run a folder, however the second one comes: at once, from another container, where locks do not work; and a
dead one blocks nobody."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import preloaded
import pytest
from conftest import ROOT, SMOKE
from launched import Launched, checkpoint, start_alone, start_line
from long_forms import LONG_FORM
from run_records import exit_of, metrics_of

from alexnet_dist.errors import DONE, FAILED, STOPPED, USAGE
from alexnet_dist.training import run_lock
from alexnet_dist.training.checkpoints import files
from alexnet_dist.training.run_lock import RunLock

QUIET = [*SMOKE, "--data.name", "synthetic", "--data.samples", "640", "--tracking.wandb", "false"]
QUIET += ["--train.evaluate", "false", "--checkpoint.every_steps", "5", "--tracking.log_every", "1"]
ENDLESS = [*QUIET, "--train.epochs", "10000", "--train.max_steps", "100000", "--run.resume", "auto"]
SHORT = [*QUIET, "--train.epochs", "1"]
OVERWRITE = [*SHORT, "--run.overwrite", "true"]
TRAIN = [sys.executable, str(ROOT / "launch/train.py")]
WITHOUT_LOCKS = {"PYTHONPATH": str(Path(__file__).with_name("no_locks"))}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".writing" not in str(path)
    }


def finish(
    line: list[str], folder: Path, environment: dict[str, str] | None = None, ranks: int = 1
) -> tuple[int, list[str]]:
    """Run a command to its end, in a fresh Python if it has a prefix or a PYTHONPATH."""
    line, environment = [*line, "--run.dir", str(folder)], environment or {}
    if line[0] == sys.executable and "PYTHONPATH" not in environment:
        done = preloaded.run(line[1:], environment, ranks)
    else:
        done = subprocess.run(
            line, capture_output=True, text=True, env=os.environ | environment, timeout=300, check=False
        )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def live(folder: Path, environment: dict[str, str] | None = None) -> Launched:
    run = start_alone(folder, ENDLESS, environment or {})
    run.wait_until(lambda: (run.folder / "checkpoints/latest").exists())
    return run


def stop(run: Launched) -> None:
    run.process.send_signal(signal.SIGTERM)
    assert run.end()[0] == STOPPED, run.output.read_text()
    steps = [line["step"] for line in metrics_of(run.folder)]
    assert steps == list(range(1, len(steps) + 1)) and not (run.folder / "run.lock").exists()
    assert files.verify(checkpoint(run.folder, steps[-1])).step == steps[-1]


def refused(code: int, lines: list[str], pid: int | str) -> None:
    assert code == USAGE, lines
    assert lines[-1].startswith("error: run.dir: ") and "is in use by a live run (host " in lines[-1]
    assert f", process {pid}, since " in lines[-1] and sum(line.startswith("error") for line in lines) == 1


def test_a_second_run_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    """Also under two ranks, and with what would delete it; a third one without a name gets a folder of its own."""
    run = live(tmp_path / "run")
    for flags in (ENDLESS, OVERWRITE):
        refused(*finish([*TRAIN, *flags], run.folder), run.process.pid)
    refused(*finish([*TRAIN, *ENDLESS], run.folder, ranks=2), run.process.pid)
    os.utime(run.folder / "run.lock", (0, 0))  # as if the clock had been set forward since its last beat
    refused(*finish([*TRAIN, *OVERWRITE], run.folder), run.process.pid)
    assert run.process.poll() is None and not (run.folder / "exit.json").exists()
    stop(run)


def test_two_at_the_same_moment(tmp_path: Path) -> None:
    """In a folder that neither has made yet: one trains, one is refused."""
    runs = [start_line([*TRAIN, *SHORT, "--run.dir", str(tmp_path / "run")], tmp_path / name) for name in "ab"]
    ends = [run.end() for run in runs]
    assert sorted(code for code, _ in ends) == [DONE, USAGE], ends
    assert exit_of(tmp_path / "run") == {"code": 0, "reason": "finished"}
    assert len(metrics_of(tmp_path / "run")) == 10


def unshare(*line: str) -> list[str]:
    """A command in mount and process namespaces of its own, as in a container that shares the folder."""
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces need root here")
    return [*words, *line]


@pytest.mark.parametrize("locks", [pytest.param(True, marks=LONG_FORM), False])
def test_another_container_where_locks_work_and_where_they_do_not(locks: bool, tmp_path: Path) -> None:
    """Process numbers say nothing across containers. Without locks the heartbeat tells that the run lives."""
    environment = {} if locks else WITHOUT_LOCKS
    run = start_line(unshare(*TRAIN, *ENDLESS, "--run.dir", str(tmp_path / "run")), tmp_path / "run", environment)
    run.wait_until(lambda: run.steps() >= 6)
    owner = json.loads((run.folder / "run.lock").read_text())
    assert owner["locked"] is locks
    refused(*finish(unshare(*TRAIN, *OVERWRITE), run.folder, environment), owner["pid"])
    assert run.process.poll() is None and (run.folder / "metrics.jsonl").exists()


@pytest.mark.parametrize("locks", [True, pytest.param(False, marks=LONG_FORM)])
def test_a_killed_run_blocks_nobody(locks: bool, tmp_path: Path) -> None:
    environment = {} if locks else WITHOUT_LOCKS
    run = live(tmp_path / "run", environment)
    run.process.kill()
    run.process.wait()
    assert (run.folder / "run.lock").exists()
    code, lines = finish([*TRAIN, *QUIET, "--train.epochs", "1", "--run.resume", "auto"], run.folder, environment)
    assert code == DONE, lines
    assert any("resuming after step" in line for line in lines)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder with a run that ended, and the lock of a node that is lost."""
    code, lines = finish([*TRAIN, *SHORT], tmp_path / "run")
    assert code == DONE, lines
    return tmp_path / "run"


def lose(folder: Path, seconds: float = 0, **more: Any) -> None:
    """Leave the lock of a run on a node that is gone, silent for so long."""
    owner = {"host": "lost", "pid": 1, "started": 0.0, "place": "lost pid:[1]", "job": None, "job_restarts": "0",
             "since": "2026-01-01 00:00:00", "locked": True, **more}  # fmt: skip
    (folder / "run.lock").write_text(json.dumps(owner))
    beat = time.time() - seconds
    os.utime(folder / "run.lock", (beat, beat))


def test_a_lost_node_blocks_no_requeue_of_its_own_job_and_nobody_for_longer_than_a_minute(left: Path) -> None:
    again = [*TRAIN, *SHORT, "--run.resume", "auto"]
    lose(left, seconds=61)
    assert finish(again, left)[0] == DONE
    lose(left, job="4711")
    code, lines = finish(again, left, {"SLURM_JOB_ID": "4711", "SLURM_RESTART_COUNT": "1"})
    assert code == DONE and not any("sign of life" in line for line in lines)
    lose(left, seconds=50)  # the rest of the minute is waited for
    assert finish(again, left)[0] == DONE


def test_a_clock_that_was_set_back_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last heartbeat is an hour ahead; watched for long enough, the run is silent all the same."""
    monkeypatch.setattr(run_lock, "SILENCE_SECONDS", 1.0)
    lose(tmp_path, seconds=-3600)
    RunLock(tmp_path, "run.dir").release()


def test_a_run_that_was_taken_over_while_it_was_silent_ends(tmp_path: Path) -> None:
    run = live(tmp_path / "run")
    run.process.send_signal(signal.SIGSTOP)
    beat = time.time() - 61
    os.utime(run.folder / "run.lock", (beat, beat))
    code, lines = finish([*TRAIN, *SHORT, "--run.resume", "auto"], run.folder)
    assert code == DONE, lines
    before = contents(run.folder)
    run.process.send_signal(signal.SIGCONT)
    code, lines = run.end()
    assert code == FAILED and "another run has taken it over" in lines[-1] and "Traceback" not in "\n".join(lines)
    assert contents(run.folder) == before


def test_restarts_are_not_blocked_by_what_they_follow_and_find_a_folder_without_a_name(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--max-restarts", "1", "--"]
    run = start_line([*line, *ENDLESS[:-2]], tmp_path / "unused")
    run.folder = tmp_path / "runs/alexnet_small-ddp"
    run.wait_until(lambda: (run.folder / "checkpoints/latest").exists() and len(run.ranks()) == 2)
    run.ranks()[1].kill()
    run.wait_until(lambda: "resuming after step" in run.output.read_text())
    run.process.send_signal(signal.SIGTERM)
    assert run.end()[0] == STOPPED, run.output.read_text()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["alexnet_small-ddp"]
