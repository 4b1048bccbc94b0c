"""Starts ranks as a user would, and sees to it that they end."""

import ctypes
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from alexnet_dist.errors import RunFailed, UsageError
from alexnet_dist.launcher.line import free_port, launch_line

TRAIN = ("-m", "alexnet_dist.cli", "train")
# Between a request to end and force: the launcher gives its ranks 30 s.
GRACE_SECONDS = 40.0
REASON_LENGTH = 200
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


@dataclass(frozen=True)
class Starter:
    """Starts ranks with a program and waits for them.

    Attributes:
        start_with: a command that starts RANKS PROGRAM ARGS; None: `accelerate launch` on this machine.
        timeout: seconds after which they have failed.
        log: gets what they print.
    """

    start_with: str | None
    timeout: float
    log: Path

    def line(self, ranks: int, program: Sequence[str]) -> list[str]:
        """The command.

        Args:
            program: as `accelerate launch` takes it: a script or `-m module`, and arguments.
        """
        if self.start_with is None:
            return launch_line(ranks, program, free_port())
        return [*shlex.split(self.start_with), str(ranks), *program]

    def __call__(self, ranks: int, program: Sequence[str]) -> None:
        """Start and wait.

        Raises:
            RunFailed: with the ranks' own reason in one line.
        """
        line = self.line(ranks, program)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            try:
                started = subprocess.Popen(
                    line,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                )
            except OSError as error:
                raise UsageError("--start-with", line[0], error.strerror or "cannot be started") from None
            try:
                code = started.wait(self.timeout)
            except subprocess.TimeoutExpired:
                raise RunFailed(f"not finished after {self.timeout:.0f} s") from None
            finally:
                end_tree(started.pid)
                started.wait()
        if code:
            raise RunFailed(_reason(self.log.read_text(errors="replace"), code))


def _end_with_parent() -> None:
    """Have the kernel end this process where the comparison is killed: a run left behind would write into a folder that
    the next attempt uses."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_tree(pid: int) -> None:
    """End a process that we started and all that it started: with a request first, by force where that is not heard.

    Ranks run in sessions of their own, so a signal to the launcher's group would not reach them.
    """
    try:
        launcher = psutil.Process(pid)
        tree = [launcher, *launcher.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    launcher.terminate()
    _, alive = psutil.wait_procs(tree, GRACE_SECONDS)
    for process in alive:
        process.kill()


def _reason(output: str, code: int) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if not told and "(SIGKILL)" in output:
        told = ["a rank was killed: most often it ran out of memory"]
    return (told or lines[-1:] or [f"exit code {code}, nothing printed"])[0][:REASON_LENGTH]


def launch(ranks: int, program: Sequence[str]) -> None:
    """Start ranks and wait for them; what they print is kept back.

    Raises:
        RunFailed: with the ranks' own reason, or the end of what they printed.
    """
    line = launch_line(ranks, program, free_port())
    done = subprocess.run(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = done.stdout.splitlines()
        reasons = [text for text in lines if text.startswith("error: ")] or lines[-20:]
        raise RunFailed(f"{ranks} ranks failed: " + "\n".join(reasons).removeprefix("error: "))
