"""Carries a comparison out: parity first, then every run that is not there yet."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from alexnet_dist.compare.cases import Case, Run, run_flags, run_folder, schedule
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.machine import unmeasured
from alexnet_dist.compare.records import difference, ended_well, note_failure
from alexnet_dist.compare.verdicts import Judge, is_judged
from alexnet_dist.errors import RunFailed, UsageError
from alexnet_dist.launcher.processes import TRAIN, Starter


class Monitor:
    """A bar over all runs with the time left on a terminal, a line a run elsewhere.

    Args:
        total: runs and groups of probes to come.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.console = Console()
        self._start = time.monotonic()
        columns = (
            TextColumn("comparing"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(*columns, TextColumn("{task.description}"), console=self.console)
        self._task = self._bar.add_task("", total=total)

    def shown(self) -> "Progress | nullcontext[None]":
        """Entered while the work goes on."""
        return self._bar if self.console.is_terminal else nullcontext()

    def begin(self, text: str) -> None:
        """The next piece of work starts; the one before it is over."""
        passed = time.monotonic() - self._start
        left = f", about {passed / self.done * (self.total - self.done) / 60:.0f} min left" if self.done else ""
        if self.console.is_terminal:
            self._bar.update(self._task, completed=self.done, description=text)
        else:
            print(f"{self.done + 1}/{self.total}  {text}{left}", flush=True)
        self.done += 1

    def say(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def starter_of(comparison: Comparison, name: str) -> Starter:
    settings = comparison.compare
    return Starter(settings.start_with, settings.timeout, comparison.folder / "logs" / f"{name}.log")


@contextmanager
def alone(comparison: Comparison) -> Iterator[None]:
    """Hold the comparison's folder.

    Raises:
        UsageError: another comparison works in it.
    """
    comparison.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(comparison.folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UsageError("--dir", comparison.folder, "another comparison is at work there") from None


def carry_out(comparison: Comparison, cases: Sequence[Case]) -> None:
    """Do what is left to do; what failed is tried again.

    Raises:
        UsageError: the folder holds runs of other settings.
    """
    runs = schedule(comparison, cases)
    left = [run for run in runs if not _is_there(comparison, run)]
    unjudged = [case for case in cases if case.refusal is None and not is_judged(comparison, case)]
    probes = len({(case.strategy, case.ranks) for case in unjudged}) + bool(unjudged)
    machine = unmeasured(comparison, runs, partial(starter_of, comparison))
    monitor = Monitor(len(left) + probes + len(machine))
    possible = sum(case.refusal is None for case in cases)
    if len(left) < len(runs) or len(unjudged) < possible:
        monitor.say(
            f"goes on: {len(runs) - len(left)} of {len(runs)} runs and {possible - len(unjudged)} of {possible} "
            "parity verdicts are there already"
        )
    with monitor.shown():
        Judge(comparison, starter_of(comparison, "parity"), monitor.begin).judge(unjudged)
        _carry_out_runs(comparison, left, monitor)
        for what, measure in machine.items():
            monitor.begin(what)
            try:
                measure()
            except RunFailed as failure:
                monitor.say(f"not measured: {what}: {failure}")


def _is_there(comparison: Comparison, run: Run) -> bool:
    folder = run_folder(comparison, run)
    if not ended_well(folder):
        return False
    changed = difference(comparison, run)
    if changed is not None and not comparison.compare.overwrite:
        raise UsageError(
            "--dir", comparison.folder, f"holds runs of other settings ({changed}): choose another, or --overwrite true"
        )
    return changed is None


def _carry_out_runs(comparison: Comparison, runs: Sequence[Run], monitor: Monitor) -> None:
    failed = set[Case]()
    for run in runs:
        case = run.case
        what = "control without communication" if run.control else f"round {run.round}"
        monitor.begin(f"{case.variant} x{case.ranks}, global batch {case.global_batch}, {what}")
        if case in failed:
            continue  # it would fail again, after as long a wait
        try:
            starter_of(comparison, run.name)(case.ranks, [*TRAIN, *run_flags(comparison, run)])
            note_failure(comparison, run, None)
        except RunFailed as failure:
            note_failure(comparison, run, str(failure))
            monitor.say(f"failed: {run.name}: {failure}; the rest goes on")
            if not run.control:
                failed.add(case)
