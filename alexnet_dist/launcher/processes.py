"""Starts ranks on this machine, or with a command of the user's, and waits for them."""

import ctypes
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import IO

import psutil

from alexnet_dist.distributed.network_interface import check_loopback
from alexnet_dist.errors import USAGE, RunFailed, RunRefused, UsageError
from alexnet_dist.launcher.launch_line import free_port, launch_environment, launch_line
from alexnet_dist.temporary import temporary_folder

# From SIGTERM to SIGKILL: torch's agent gives its ranks 30 s.
GRACE_SECONDS = 40.0
REASON_LENGTH = 200
_PR_SET_PDEATHSIG = 1  # sys/prctl.h


@dataclass(frozen=True)
class Launcher:
    """Starts ranks with a program and waits for them.

    Attributes:
        start_with: a command that starts RANKS PROGRAM ARGS; None: `accelerate launch` on this machine.
        timeout: seconds after which the ranks are ended and count as failed; None: no limit.
        log: the file that takes their output; None: it is kept only as the reason of a failure.
    """

    start_with: str | None = None
    timeout: float | None = None
    log: Path | None = None

    def line(self, ranks: int, program: Sequence[str], log_dir: Path | None = None) -> list[str]:
        """The command.

        Args:
            program: as `accelerate launch` takes it: a script or `-m module`, and arguments.
            log_dir: of torch's agent.
        """
        if self.start_with is None:
            return launch_line(ranks, program, log_dir=log_dir)
        return [*shlex.split(self.start_with), str(ranks), *program]

    def launch(self, ranks: int, program: Sequence[str]) -> None:
        """Start ranks and wait for them.

        Raises:
            UsageError: `start_with` cannot be started.
            RunFailed, RunRefused: with the ranks' own reason in one line.
        """
        with temporary_folder("alexnet-ranks-") as folder:
            path = self.log or folder / "output"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w") as output:
                code = self._run(self.line(ranks, program, folder / "agent"), output)
            if code:
                printed = path.read_text(errors="replace")
                failure = RunRefused if code == USAGE else RunFailed
                raise failure(_reason(printed) or f"exit code {code}, nothing printed")

    def _run(self, line: Sequence[str], output: IO[str]) -> int:
        """The exit code of a command whose processes have all ended."""
        try:
            process = _start(line, output)
        except OSError as error:
            raise UsageError("--start-with", line[0], error.strerror or "cannot be started") from None
        try:
            return process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"not finished after {self.timeout:.0f} s") from None
        finally:
            _end_tree(process)


def launch(ranks: int, program: Sequence[str]) -> None:
    """Start ranks on this machine with `accelerate launch`, without output, and wait for them.

    Raises:
        RunFailed, RunRefused: with the ranks' own reason in one line.
    """
    Launcher().launch(ranks, program)


def run_without_launcher(ranks: int, program: Sequence[str]) -> int:
    """Start ranks on this machine at once and wait for them; Accelerate's launcher would take seconds.

    Args:
        program: arguments of Python: a script or `-m module`, and its arguments.

    Returns:
        The largest exit code; of a rank that a signal ended, 128 and the signal, as shells count.

    Raises:
        UsageError: several ranks could not reach each other.
    """
    if ranks > 1:
        check_loopback()
    world = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    processes = [
        _start([sys.executable, *program], None, {**world, "RANK": rank, "LOCAL_RANK": rank}) for rank in range(ranks)
    ]
    codes = [process.wait() for process in processes]
    return max(code if code >= 0 else 128 - code for code in codes)


def process_tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started, itself last; nothing where it has ended.

    Ranks run in sessions of their own: a signal to the launcher's process group does not reach them.
    """
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def _start(line: Sequence[str], output: IO[str] | None, variables: Mapping[str, object] = {}) -> subprocess.Popen[str]:
    """Start a process that ends with this one.

    Args:
        output: takes stdout and stderr; None: this process's own take them.
        variables: added to the environment.
    """
    return subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        text=True,
        env=launch_environment() | {name: str(value) for name, value in variables.items()},
        preexec_fn=end_with_parent,
    )


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send a signal to this process when its parent dies; on Linux alone.

    A run left behind would write into a folder that the next attempt uses.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def end_processes(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Wait for processes that were asked to end; kill those that have not ended after `seconds`."""
    _, alive = psutil.wait_procs(processes, seconds)
    for survivor in alive:
        survivor.kill()


def _end_tree(process: subprocess.Popen[str]) -> None:
    """End a launcher and its ranks."""
    if process.poll() is not None:
        return
    tree = process_tree(process.pid)
    process.terminate()
    end_processes(tree, GRACE_SECONDS)
    process.wait()


def _reason(output: str) -> str:
    """Why ranks failed, in one line: the first "error:" line of the output, or what C++ says of an exception that
    nothing caught; else the exception of the first traceback, which caused those of the other ranks; else the last
    line, which is the launcher's."""
    lines = [re.sub(r"^\[rank\d+\]: ?", "", line).rstrip() for line in output.splitlines() if line.strip()]
    errors = [found[1] for line in lines if (found := re.match(r"(?:error:| *what\(\):) *(.+)", line))]
    trace = dropwhile(lambda line: not line.startswith("Traceback"), lines)
    exceptions = [line for line in list(trace)[1:] if not line.startswith(" ")]
    return [*errors, *exceptions, *lines[-1:], ""][0][:REASON_LENGTH].strip()
