"""Runs programs in processes that have imported torch already, for tests of what a program does, not of its start.

A fork server (multiprocessing's) imports what is slow and not of this project, once; each process is forked from it,
and then runs a file or a module as `python` does, with arguments, environment, folder and output of its own: a second
of processor time less for each, and seven where `accelerate launch` would start two ranks. Variables that others read
while they are imported (HF_HOME) are this process's. Tests of launchers, signals, imports, places and GPUs start
processes as a user does.
"""

import os
import runpy
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection, forkserver, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import IO

from pytest import MonkeyPatch

from alexnet_dist.launcher.launch_line import CLI, free_port
from alexnet_dist.launcher.processes import Launcher

PATIENCE_SECONDS = 300
FORKS_RANKS = {"PRELOADED_FORKS_RANKS": "true"}  # for a command that starts ranks: see `_fork_ranks`
STARTS = "PRELOADED_STARTS"  # beside it: a word; a program that has it is started as without

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["preloaded_imports"])


@cache
def start_server() -> None:
    """Start the fork server, where it does not run yet; it ends with this process."""
    with MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep
        )  # else it would find no preloaded_imports
        forkserver.ensure_running()


@dataclass
class Forked:
    """A program on ranks, under way.

    Attributes:
        words: what runs.
        processes: by rank.
        outputs: the files that take stdout and stderr of all.
    """

    words: Sequence[str]
    processes: list[BaseProcess]
    outputs: list[Path]

    def wait(self) -> CompletedProcess[str]:
        """The exit code, that of the first rank that failed, and what all of them printed into files."""
        code = _wait(self.processes)
        texts = [path.read_text(errors="replace") if path.is_file() else "" for path in self.outputs]
        return CompletedProcess(list(self.words), code, *texts)


def start(
    words: Sequence[str], folder: Path, environment: Mapping[str, str] = {}, ranks: int = 1, stdout: Path | None = None
) -> Forked:
    """Start a program on ranks.

    Args:
        words: a script or `-m module`, and arguments, as for `python`.
        folder: for the files that take the output.
        environment: is added to this process's.
        stdout: a pipe that takes it instead.
    """
    outputs = [folder / "stdout", folder / "stderr"]
    for path in outputs:
        path.write_text("")
    outputs[0] = stdout or outputs[0]
    variables = [{**os.environ, **environment, **world} for world in _worlds(ranks)]
    return Forked(words, [fork(words, own, Path.cwd(), outputs) for own in variables], outputs)


def fork(words: Sequence[str], environment: Mapping[str, str], folder: Path, outputs: list[Path]) -> BaseProcess:
    """Start one process.

    Args:
        words: see `start`.
        environment: all of its variables.
        folder: where it works.
        outputs: existing files that take stdout and stderr.
    """
    start_server()
    process = _CONTEXT.Process(target=_become, args=(words, environment, folder, outputs))
    process.start()
    return process


def run(words: Sequence[str], environment: Mapping[str, str] = {}, ranks: int = 1) -> CompletedProcess[str]:
    """Run a program on ranks, and wait for them; see `start`."""
    with TemporaryDirectory(prefix="preloaded-") as folder:
        return start(words, Path(folder), environment, ranks).wait()


def command(*words: str, ranks: int = 1, **environment: str) -> CompletedProcess[str]:
    """`alexnet-dist WORDS`."""
    return run([*CLI, *words], environment, ranks)


def launch(ranks: int, program: Sequence[str]) -> None:
    """Stands in for `alexnet_dist.launcher.processes.launch`, where ranks must not fail."""
    done = run(program, ranks=ranks)
    assert done.returncode == 0, done.stdout + done.stderr


def _worlds(ranks: int) -> list[dict[str, str]]:
    """What a launcher sets for each rank; nothing for a single process."""
    if ranks == 1:
        return [{}]
    world = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    worlds = [{**world, "RANK": rank, "LOCAL_RANK": rank} for rank in range(ranks)]
    return [{name: str(value) for name, value in own.items()} for own in worlds]


def _wait(processes: Sequence[BaseProcess]) -> int:
    """As launchers do: the first rank that fails ends the others, and its exit code is returned."""
    code = 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    running = list(processes)
    while running:
        if not connection.wait([process.sentinel for process in running], deadline - time.monotonic()):
            for process in running:
                process.kill()
        ended = [process for process in running if not process.is_alive()]
        running = [process for process in running if process not in ended]
        failed = [process.exitcode for process in ended if process.exitcode]
        if failed and not code:
            code = failed[0]
            for process in running:
                process.terminate()
    return code if code >= 0 else 128 - code


def _fork_ranks() -> None:
    """Make the program of this process fork the ranks that it would start with a launcher."""
    usual_line, usual_run = Launcher.line, Launcher._run

    def line(launcher: Launcher, ranks: int, program: Sequence[str], log_dir: Path | None = None) -> list[str]:
        started = os.environ.get(STARTS) in program
        return usual_line(launcher, ranks, program, log_dir) if started else [str(ranks), *program]

    def run_line(launcher: Launcher, words: Sequence[str], output: IO[str]) -> int:
        if not words[0].isdecimal():
            return usual_run(launcher, words, output)
        outputs = [Path(output.name)] * 2
        processes: list[BaseProcess] = [
            get_context("fork").Process(target=_become, args=(words[1:], {**os.environ, **world}, Path.cwd(), outputs))
            for world in _worlds(int(words[0]))
        ]
        for process in processes:
            process.start()
        return _wait(processes)

    Launcher.line, Launcher._run = line, run_line  # type: ignore[method-assign, assignment]


def _become(words: Sequence[str], environment: Mapping[str, str], folder: Path, outputs: Sequence[Path]) -> None:
    """In the new process: go on as `python WORDS`."""
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # the server may have looked for it
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if FORKS_RANKS.items() <= environment.items():
        _fork_ranks()
    if words[0] == "-m":
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")
