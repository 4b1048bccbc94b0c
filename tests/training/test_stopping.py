"""Signals: whichever process gets one, all ranks save at the same step and end, and the run can resume."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, SMOKE
from launched import Launched, checkpoint, start, start_line
from long_forms import LONG_FORM
from run_records import summary_of

from alexnet_dist.launcher.signals import SAME_SECONDS
from alexnet_dist.training.checkpoints import files

QUIET = [*SMOKE, "--data.name", "synthetic", "--tracking.wandb", "false", "--tracking.log_every", "1"]
ENDLESS = [*QUIET, "--train.max_steps", "100000", "--train.epochs", "100000"]
IN_STEPS = [*ENDLESS, "--train.evaluate", "false"]
# Batches of two images: an evaluation of 2,048 takes far longer than the two steps before it.
IN_EVALUATION = [*QUIET, "--train.max_steps", "2", "--train.global_batch", "4"]
IN_SAVES = [*IN_STEPS, "--checkpoint.every_steps", "1", "--checkpoint.background", "false"]


def launcher(run: Launched) -> Callable[[int], None]:
    return run.process.send_signal


def launcher_twice(run: Launched) -> Callable[[int], None]:
    """As `timeout` does, which signals a program and then its group of processes: one request."""

    def send(number: int) -> None:
        run.process.send_signal(number)
        time.sleep(0.01)
        run.process.send_signal(number)

    return send


def rank_1(run: Launched) -> Callable[[int], None]:
    return run.ranks()[1].send_signal


@pytest.mark.parametrize(
    "number, target, flags",
    [
        pytest.param(signal.SIGUSR1, launcher, IN_STEPS, marks=LONG_FORM),
        (signal.SIGINT, launcher, IN_EVALUATION),
        pytest.param(signal.SIGTERM, launcher_twice, IN_SAVES, marks=LONG_FORM),
        pytest.param(signal.SIGTERM, rank_1, IN_STEPS, marks=LONG_FORM),
        (signal.SIGUSR1, rank_1, IN_SAVES),
    ],
)
def test_a_signal_stops_all_ranks_at_the_same_step_and_saves_it(
    number: int, target: Callable[[Launched], Callable[[int], None]], flags: list[str], tmp_path: Path
) -> None:
    run = start(tmp_path / "run", 2, [*flags, "--strategy.name", "split"])
    run.wait_until(lambda: run.steps() >= 2 and len(run.ranks()) == 2)
    target(run)(number)
    code, lines = run.end()
    assert code == 75, "\n".join(lines)
    done = run.steps()
    assert lines[-1] == (
        f"stopped: asked to stop after step {done}, which is saved: continue with the same command, --run.resume auto"
    )
    assert run.exit() == {"code": 75, "reason": lines[-1].removeprefix("stopped: ")}
    assert files.verify(checkpoint(run.folder, done)).step == done
    if flags is IN_EVALUATION:
        assert done == 2  # what is left is the evaluation
        again = start(tmp_path / "run", 2, [*flags, "--strategy.name", "split", "--run.resume", "auto"])
        code, lines = again.end()
        assert code == 0 and "resuming after step 2" in "\n".join(lines)
        assert again.exit() == {"code": 0, "reason": "finished"}
        assert again.steps() == 2 and summary_of(run.folder)["eval"] is not None


def test_a_run_whose_directory_the_user_did_not_name_tells_it(tmp_path: Path) -> None:
    """With --run.resume auto alone the same command would not know which run is meant."""
    line = [sys.executable, str(ROOT / "launch/train.py"), *IN_STEPS]
    folder = tmp_path / "runs/alexnet_small-single"
    folder.parent.mkdir()
    run = start_line(["bash", "-c", 'cd .. && exec "$@"', "bash", *line], folder)
    run.wait_until(lambda: run.steps() >= 2)
    run.process.send_signal(signal.SIGINT)
    code, lines = run.end()
    assert code == 75 and lines[-1].endswith(
        "continue with the same command, --run.dir runs/alexnet_small-single --run.resume auto"
    ), lines


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    run = start(tmp_path / "run", 2, [*IN_STEPS, "--strategy.name", "ddp"])
    run.wait_until(lambda: run.steps() >= 1 and len(run.ranks()) == 2)
    ranks = run.ranks()
    ranks[1].send_signal(signal.SIGSTOP)  # it can neither vote nor save
    run.process.send_signal(signal.SIGTERM)
    time.sleep(1.5 * SAME_SECONDS)
    run.process.send_signal(signal.SIGINT)
    code, lines = run.end()
    assert code == 1 and lines[-1] == "error: asked to stop a second time: ended at once"
    assert run.exit() == {"code": 1, "reason": "asked to stop a second time: ended at once"}
    assert not any(rank.is_running() and rank.status() != "zombie" for rank in ranks)


@pytest.mark.parametrize("killed, code", [("launcher", 75), ("supervisor", -signal.SIGKILL)])
def test_ranks_whose_launcher_is_gone_save_and_end(killed: str, code: int, tmp_path: Path) -> None:
    """What kills `accelerate launch`, or `alexnet-dist launch`, reaches none of its workers."""
    run = start(tmp_path / "run", 2, [*IN_STEPS, "--strategy.name", "ddp"])
    run.wait_until(lambda: run.steps() >= 1 and len(run.ranks()) == 2)
    ranks = run.ranks()
    (ranks[0].parent() if killed == "launcher" else run.process).kill()
    assert run.end()[0] == code
    assert psutil.wait_procs(ranks, timeout=30)[1] == []
    done = run.steps()
    assert run.exit() == {
        "code": 75,
        "reason": f"the launcher is gone: stopped after step {done}, which is saved: continue with the same "
        "command, --run.resume auto",
    }
    assert files.verify(checkpoint(run.folder, done)).step == done
