"""Processes of bad starts: as a user starts them, or, four times as quick, forked from one that has imported torch."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import preloaded

# Python, OpenMP, torch or Accelerate look at these once, while they are loaded.
READ_AT_START = {
    "LANG", "LC_ALL", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONWARNINGS", "TZ", "OMP_NUM_THREADS",
    "GOMP_SPINCOUNT", "CUDA_VISIBLE_DEVICES", "TORCH_LOGS", "TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME",
    "ACCELERATE_LOG_LEVEL",
}  # fmt: skip


class Process(Protocol):
    """What is asked of a process, as `subprocess` names it."""

    pid: int
    stdout: IO[bytes] | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def send_signal(self, number: int) -> None: ...


def anew(
    line: Sequence[str], environment: Mapping[str, str], folder: Path, outputs: list[Path], piped: bool
) -> Process:
    """Start a command.

    Args:
        line: the command.
        environment: all of its variables.
        folder: where it works.
        outputs: files that take stdout and stderr.
        piped: a pipe takes both instead.
    """
    with outputs[0].open("wb") as out, outputs[1].open("wb") as err:
        return subprocess.Popen(
            line,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else out,
            stderr=subprocess.STDOUT if piped else err,
            start_new_session=True,
        )


class _Forked:
    """A forked process under `subprocess`'s names."""

    stdout: IO[bytes] | None = None

    def __init__(self, line: Sequence[str], environment: Mapping[str, str], folder: Path, outputs: list[Path]) -> None:
        self._process = preloaded.fork(line[1:], environment, folder, outputs)
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("forked", timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def forked(
    line: Sequence[str], environment: Mapping[str, str], folder: Path, outputs: list[Path], piped: bool
) -> Process:
    """The same of a Python program, forked; without a pipe."""
    assert not piped
    return _Forked(line, environment, folder, outputs)
