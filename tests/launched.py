"""Runs that tests start under `alexnet-dist launch` and disturb, and the files that they leave."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from run_records import exit_of
from safetensors.torch import load_file

from alexnet_dist.training.checkpoints import files

PATIENCE_SECONDS = 300


def tensors(checkpoint: Path) -> dict[str, dict[str, torch.Tensor]]:
    """What a checkpoint holds, by file; the files' own bytes differ in the order of their headers."""
    return {path.name: load_file(path) for path in sorted(checkpoint.glob("*.safetensors"))}


def same_bits(one: Path, other: Path) -> bool:
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(
        a[file].keys() == b[file].keys() and all(torch.equal(a[file][name], b[file][name]) for name in a[file])
        for file in a
    )


def checkpoint(folder: Path, step: int) -> Path:
    """A run's checkpoint of a step."""
    return folder / files.FOLDER / files.directory_name(step)


@dataclass
class Launched:
    """A run under way.

    Attributes:
        process: `alexnet-dist launch`.
        folder: the run's own.
        output: where it prints to.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    output: Path

    def ranks(self) -> list[psutil.Process]:
        """The processes that train, by rank; fewer while they are being started or ended."""
        found = {}
        with suppress(psutil.NoSuchProcess):  # it has ended
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):  # one that ends now is no rank that trains
                    environment = child.environ()
                    if environment.get("ALEXNET_DIST_CONTROL") and "alexnet_dist.cli" in child.cmdline()[2:5]:
                        found[int(environment.get("RANK", "0"))] = child
        return [found[rank] for rank in sorted(found)]

    def steps(self) -> int:
        """Steps that the run has recorded."""
        try:
            return (self.folder / "metrics.jsonl").read_text().count("\n")
        except OSError:
            return 0

    def wait_until(self, what: Callable[[], Any]) -> None:
        """Wait until a condition holds; the run must not end before."""
        self.wait(lambda: bool(what()) or self.process.poll() is not None)
        assert self.process.poll() is None, self.output.read_text()

    def wait(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.02)

    def end(self) -> tuple[int, list[str]]:
        """The exit code and the lines that it printed."""
        code = self.process.wait(PATIENCE_SECONDS)
        return code, self.output.read_text().splitlines()

    def exit(self) -> dict[str, Any]:
        return exit_of(self.folder)


_STARTED: list[subprocess.Popen[bytes]] = []


def end_all() -> None:
    """Processes that a failed test left running must not slow the others."""
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                child.kill()


def start(folder: Path, ranks: int, flags: Sequence[str], launch: Sequence[str] = ()) -> Launched:
    """`alexnet-dist launch --ranks N [launch flags] -- [flags] --run.dir FOLDER`."""
    line = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", str(ranks), *launch, "--", *flags]
    return start_line([*line, "--run.dir", str(folder)], folder)


def start_alone(folder: Path, flags: Sequence[str], environment: Mapping[str, str] = {}) -> Launched:
    """`python launch/train.py [flags] --run.dir FOLDER`."""
    line = [sys.executable, str(Path(__file__).parents[1] / "launch/train.py"), *flags, "--run.dir", str(folder)]
    return start_line(line, folder, environment)


def start_line(line: Sequence[str], folder: Path, environment: Mapping[str, str] = {}) -> Launched:
    """Any command that trains in a folder; it prints to FOLDER.output."""
    output = folder.with_suffix(".output")
    with output.open("ab") as sink:
        process = subprocess.Popen(
            line, stdout=sink, stderr=subprocess.STDOUT, cwd=folder.parent, env={**os.environ, **environment}
        )
    _STARTED.append(process)
    return Launched(process, folder, output)
