"""Lines that start processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch
from safetensors.torch import load_file

from alexnet_dist.distributed.devices import SHARED_GPU
from alexnet_dist.errors import RunFailed
from alexnet_dist.gpu_check.setup import Figures, NotPossible, Setup, require
from alexnet_dist.launcher.launch_line import CLI, TRAIN
from alexnet_dist.launcher.processes import launch
from alexnet_dist.parity.measure import TraceRequest, measure, read_differences
from alexnet_dist.parity.verdict import judge
from alexnet_dist.telemetry.run_files import METRICS, SUMMARY, read_json
from alexnet_dist.training.checkpoints.files import FOLDER, directory_name

STRATEGIES = {
    "ddp": ["ddp"],
    "ddp:bf16": ["ddp", "--strategy.gradient_dtype", "bf16"],
    "split": ["split"],
    "fsdp": ["fsdp"],
    "zero2": ["zero2"],
}
SMALL = [
    *("--net.name", "alexnet_small", "--data.name", "synthetic", "--data.samples", "64"),
    *("--train.global_batch", "32", "--strategy.name"),
]
# Two ranks of one host on one GPU are refused by NCCL before 2.30: they must look like two hosts.
ONE_GPU = {
    "NCCL_MULTI_RANK_GPU_ENABLE": "1",
    "NCCL_NET": "Socket",
    "NCCL_SOCKET_IFNAME": "lo",
    "NCCL_P2P_DISABLE": "1",
    "NCCL_SHM_DISABLE": "1",
    "NCCL_NVLS_ENABLE": "0",
}
PATIENCE = 60.0


def training(setup: Setup) -> Figures:
    """A run of one process, its evaluation, and the run again from the middle, each as a user starts it."""
    steps = 4 if setup.small else 60
    with TemporaryDirectory(prefix="alexnet-check-") as name:
        folder = Path(name)
        _train(setup, folder / "whole", steps, "--checkpoint.keep", "9")
        summary = read_json(folder / "whole" / SUMMARY) or {}
        require(isfinite(summary["train_loss"]), f"the loss is {summary['train_loss']}")
        mfu = "" if summary["mfu"] is None else f", MFU {summary['mfu']:.1%}"
        yield f"{setup.half}, batch 128", f"{summary['images_per_second']:,.0f} images/s{mfu}"
        _run([*CLI, "evaluate", "--checkpoint", str(folder / "whole")])
        yield "evaluated", "exit code 0"
        half, end = (Path(FOLDER, directory_name(step)) for step in (steps // 2, steps))
        _train(setup, folder / "resumed", steps, "--run.resume", str(folder / "whole" / half))
        same = _same(folder / "whole" / end, folder / "resumed" / end)
    yield "resumed", "the same bits" if same else "other bits: an algorithm of the device is not repeatable"


def _train(setup: Setup, folder: Path, steps: int, *flags: str) -> None:
    own = ["--train.global_batch", "8" if setup.small else "128", "--train.max_steps", str(steps)]
    own += ["--train.epochs", str(steps), "--run.dir", str(folder), "--train.evaluate", "false"]
    own += ["--train.precision", setup.half, "--checkpoint.every_steps", str(steps // 2)]
    _run([*TRAIN, *setup.net, *own, *flags])


def _run(program: Sequence[str]) -> None:
    """One process, as `python launch/train.py` starts it; a launcher would take seconds more.

    Raises:
        RunFailed: with its last line.
    """
    done = subprocess.run([sys.executable, *program], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFailed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])


def _same(one: Path, other: Path) -> bool:
    a, b = (
        {k: v for path in folder.glob("*.safetensors") for k, v in load_file(path).items()} for folder in (one, other)
    )
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def over_gloo(setup: Setup) -> Figures:
    """Two ranks that share the device, over gloo: each strategy's fp32 gradients against one process's."""
    groups = [["ddp", "split"]] if setup.small else [["ddp", "ddp:bf16", "split"], ["fsdp"], ["zero2"]]
    if find_spec("deepspeed") is None and ["zero2"] in groups:
        groups.remove(["zero2"])
        yield "zero2", "not tried: DeepSpeed is not installed"
    with _variables({SHARED_GPU: "gloo"}):
        yield from _parities(groups)


def over_nccl(setup: Setup) -> Figures:
    """Two ranks over NCCL: on a GPU each where there are two, else both on one, which NCCL may refuse."""
    if not setup.on_gpu:
        raise NotPossible("NCCL needs a GPU")
    if torch.cuda.device_count() > 1:
        yield from _parities([["ddp", "split"], ["fsdp"]])
        return
    with _variables({SHARED_GPU: "nccl", **ONE_GPU}):
        try:
            yield from _parities([["ddp", "split"]])
        except RunFailed as failed:
            raise NotPossible(f"two ranks on one GPU: {failed}") from None


def _parities(groups: Sequence[Sequence[str]]) -> Figures:
    """The largest difference of a gradient, and the collectives, by strategy.

    Args:
        groups: strategies that one launch of two ranks traces.

    Raises:
        RunFailed: the ranks of a group failed, which does not stop the others.
        Wrong: a strategy is not the same training.
    """
    failed = list[str]()
    with TemporaryDirectory(prefix="alexnet-check-") as name:
        for group in groups:
            requests = [TraceRequest([*SMALL, *STRATEGIES[strategy]], 1, _reference()[1]) for strategy in group]
            try:
                outputs = measure(requests, 2, Path(name), _start)
            except RunFailed as reason:
                failed.append(f"{', '.join(group)}: {reason}")
                continue
            for strategy, path in zip(group, outputs, strict=True):
                yield strategy, _judged(strategy, path)
    if failed:
        raise RunFailed("; ".join(failed))


@cache
def _reference() -> tuple["TemporaryDirectory[str]", Path]:
    """One process's trace, and the folder that holds it until this process ends."""
    folder = TemporaryDirectory(prefix="alexnet-check-")
    (trace,) = measure([TraceRequest([*SMALL, "single"], 1)], 1, Path(folder.name))
    return folder, trace


def _judged(strategy: str, path: Path) -> str:
    differences = read_differences(path)
    verdict = judge(strategy, 2, differences, "bf16" if "bf16" in strategy else "fp32", 32)
    gradient = verdict.worst["gradient"]
    require(verdict.same, f"{strategy}: {gradient.where} differs by {gradient.difference:.1e}")
    return f"{gradient.difference:.0e}, {', '.join(differences.traffic['counted'])}"


def _start(ranks: int, program: Sequence[str]) -> None:
    """Start parity's ranks through a module that makes them look like several hosts where they share a GPU."""
    launch(ranks, ["-m", "alexnet_dist.gpu_check.rank", *program[2:]])


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def stopped_rank(setup: Setup) -> Figures:
    """Two ranks of which one is stopped: the run must end and name it."""
    with TemporaryDirectory(prefix="alexnet-check-") as name, _variables({SHARED_GPU: "gloo"}):
        folder = Path(name, "run")
        flags = ["--net.name", "alexnet_small", "--data.name", "synthetic", "--strategy.name", "ddp"]
        flags += ["--train.epochs", "100000", "--train.timeout", "5", "--tracking.with", "[]", "--run.dir", str(folder)]
        line = [sys.executable, *CLI, "launch", "--ranks", "2", "--", *flags]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
            try:
                victim = _rank(started, folder)
                victim.send_signal(signal.SIGSTOP)
                output, _ = started.communicate(timeout=2 * PATIENCE)
            finally:
                for process in psutil.Process(started.pid).children(recursive=True) if started.poll() is None else ():
                    process.kill()
                started.kill()
    errors = [text for text in output.splitlines() if text.startswith("error: ")]
    require(started.returncode == 1 and bool(errors), f"exit code {started.returncode}, {errors}")
    require("rank 1" in errors[-1], f"the last line does not name rank 1: {errors[-1]}")
    yield "last line", errors[-1][:60]


def _rank(started: "subprocess.Popen[str]", folder: Path) -> psutil.Process:
    """Rank 1, once the run has written steps."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (folder / METRICS).exists() and (folder / METRICS).stat().st_size > 0:
            for child in psutil.Process(started.pid).children(recursive=True):
                if child.environ().get("RANK") == "1" and "alexnet_dist.cli" in child.cmdline():
                    return child
        time.sleep(0.1)
    raise RunFailed("the ranks took no step within the time allowed")
