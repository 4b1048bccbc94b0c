"""Interrupted at random moments, again and again, a run ends as if it had never been, bit for bit.

The long form makes 150 interruptions. A moment may lie in the start, a step, a write, an evaluation, or between.
"""

import os
import random
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import preloaded
import pytest
from conftest import ROOT, SMOKE
from launched import checkpoint, same_bits
from long_forms import LONG
from small_disks import NO_SPACE, fill, mounted

from alexnet_dist.errors import DONE, FAILED, STOPPED, USAGE
from alexnet_dist.telemetry.run_files import EVALUATION, read_json, read_metrics

EPOCHS = 20 if LONG else 4
LAST = 10 * EPOCHS
FLAGS = [
    *SMOKE, "--data.name", "synthetic", "--data.samples", "640", "--tracking.wandb", "false",
    "--tracking.log_every", "5", "--train.epochs", str(EPOCHS), "--train.max_steps", str(LAST),
    "--train.evaluate_samples", "64", "--checkpoint.every_steps", "7", "--run.resume", "auto",
]  # fmt: skip
TIMELESS = ("step", "loss", "samples", "sample_fingerprint", "epoch", "lr")


@dataclass
class Disturbed:
    """A start of a run, under way.

    Attributes:
        ranks: its processes.
        reader: of the pipe that takes what it prints.
        disk: that its folder lies on.
        chance: for whatever is chosen.
    """

    ranks: preloaded.Forked
    reader: int
    disk: Path
    chance: random.Random

    def send(self, number: int) -> None:
        """Signal one rank, whichever; the others must learn of it."""
        process = self.chance.choice(self.ranks.processes)
        if process.is_alive():
            os.kill(process.pid or 0, number)


def kill(run: Disturbed) -> None:
    run.send(signal.SIGKILL)


def terminate(run: Disturbed) -> None:
    run.send(signal.SIGTERM)


def hang_up(run: Disturbed) -> None:
    run.send(signal.SIGHUP)


def close_pipe(run: Disturbed) -> None:
    select.select([run.reader], [], [])  # something was printed: all ranks have it open
    os.close(run.reader)


def fill_disk(run: Disturbed) -> None:
    """Fill the disk for a while; in half of the cases the run is asked to stop meanwhile."""
    fill(run.disk)
    time.sleep(run.chance.random())
    if run.chance.random() < 0.5:
        terminate(run)
        time.sleep(run.chance.random())
    (run.disk / "filler").unlink()


Interruption = Callable[[Disturbed], None]
KINDS: list[Interruption] = [kill, terminate, hang_up, close_pipe, fill_disk]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "8m") as folder:
        yield folder


@pytest.mark.parametrize(
    "strategy, ranks, few",
    [("single", 1, [kill, close_pipe]), ("ddp", 2, [terminate, fill_disk]), ("split", 2, [hang_up, kill])],
    ids=["single", "ddp", "split"],
)
def test_interrupted_again_and_again_a_run_ends_as_if_it_had_never_been(
    strategy: str, ranks: int, few: list[Interruption], disk: Path, tmp_path: Path
) -> None:
    flags = [*FLAGS, "--strategy.name", strategy]
    whole = preloaded.run([str(ROOT / "launch/train.py"), *flags, "--run.dir", "whole"], ranks=ranks)
    assert whole.returncode == DONE, whole.stderr
    chance = random.Random(strategy)
    left = 10 * KINDS if LONG else list(few)
    chance.shuffle(left)
    for lap in range(1000):
        folder = disk / f"lap {lap}"
        line = [str(ROOT / "launch/train.py"), *flags, "--run.dir", str(folder)]
        while run_once(line, ranks, folder, left, chance) != DONE:
            assert losses(folder) == losses(tmp_path / "whole")[: len(losses(folder))]
        assert losses(folder) == losses(tmp_path / "whole") and len(losses(folder)) == LAST
        assert read_json(folder / EVALUATION) == read_json(tmp_path / "whole" / EVALUATION)
        assert same_bits(checkpoint(folder, LAST), checkpoint(tmp_path / "whole", LAST))
        shutil.rmtree(folder)
        if not left:
            break
    assert not left


def run_once(line: list[str], ranks: int, folder: Path, left: list[Interruption], chance: random.Random) -> int:
    """Start or resume, and interrupt at a random moment, by the last of the remaining ways.

    Returns:
        The exit code, which is as it must be.
    """
    disk = folder.parent
    pipe = disk.parent / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run = Disturbed(preloaded.start(line, disk.parent, ranks=ranks, stdout=pipe), reader, disk, chance)
    interruption = None
    if left and wait_for_a_moment(run, folder, chance):
        interruption = left.pop()
        interruption(run)
    done = run.ranks.wait()
    if interruption is not close_pipe:
        os.close(reader)
    pipe.unlink()
    assert is_right(interruption, done), (interruption, done)
    return done.returncode


def wait_for_a_moment(run: Disturbed, folder: Path, chance: random.Random) -> bool:
    """Wait: a fifth of the times until somewhere in the start, else until any of the steps that are left.

    Returns:
        Whether the run has not ended before.
    """
    done = len(losses(folder))
    until = done + chance.randrange(LAST - done + 1) if chance.random() < 0.8 else 0
    ends = [process.sentinel for process in run.ranks.processes]
    while len(losses(folder)) < until:
        if connection.wait(ends, 0.05):
            return False
    return not connection.wait(ends, chance.random() * 0.5)


def is_right(interruption: Interruption | None, done: CompletedProcess[str]) -> bool:
    """Whether a start may end like this: errors are reported, and nothing else ends the run."""
    if interruption is kill:
        return True
    if interruption not in (terminate, hang_up, fill_disk):
        return done.returncode == DONE
    no_room = interruption is fill_disk and done.returncode in (FAILED, USAGE) and NO_SPACE in done.stderr
    early = (128 + signal.SIGTERM, 128 + signal.SIGHUP)  # before the program was there
    return (done.returncode in (DONE, STOPPED, *early) or no_room) and "Traceback" not in done.stderr


def losses(folder: Path) -> list[dict[str, Any]]:
    return [{name: line[name] for name in TIMELESS} for line in read_metrics(folder)]
