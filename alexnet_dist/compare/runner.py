"""Runs a comparison: parity first, then every run that is missing, then measurements of the machine."""

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from alexnet_dist.compare.case_parity import ParityChecker, is_judged
from alexnet_dist.compare.cases import (
    Case,
    Run,
    launcher_of,
    run_folder,
    run_program,
    schedule,
    set_measured_steps,
)
from alexnet_dist.compare.config import SETTINGS, Comparison, is_comparison, store_settings
from alexnet_dist.compare.machine import pending_measurements
from alexnet_dist.compare.progress import ComparisonProgress
from alexnet_dist.compare.records import changed_setting, has_finished, record_failure, steps_wanted
from alexnet_dist.errors import RunFailed, RunRefused, UsageError, refusing
from alexnet_dist.telemetry.folder_contents import names_in
from alexnet_dist.telemetry.run_files import temporary_name

LOCK = ".lock"


@contextmanager
def locked_folder(comparison: Comparison) -> Iterator[None]:
    """Create the comparison's folder and lock it.

    Raises:
        UsageError: another comparison works in it, it holds something else, or it cannot be written.
        RunFailed: its disk is full.
    """
    folder = comparison.folder
    _check_folder(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UsageError("--dir", folder, "another comparison is at work there") from None
    except OSError as error:
        raise UsageError("--dir", folder, f"cannot be written ({error.strerror})") from None
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunFailed(f"{folder}: {error.strerror}: make room, and the same command continues") from None
    finally:
        lock.release()


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but a comparison: its files might be overwritten."""
    with refusing("--dir", folder, "is not a folder that can be read"):
        found = {name for name in names_in(folder) if name != LOCK or (folder / LOCK).stat().st_size}
        ours = is_comparison(folder)
    found.discard(temporary_name(Path(SETTINGS)).name)  # of one that was killed before it had begun
    if found and not ours:
        raise UsageError("--dir", folder, f"is no comparison's folder (it holds {', '.join(sorted(found)[:5])})")


def carry_out(comparison: Comparison, cases: Sequence[Case]) -> None:
    """Do all work that is left; what failed in an earlier attempt is tried again.

    Raises:
        UsageError: the folder holds runs of other settings.
        RunRefused: the ranks of every case refuse its settings.
    """
    runs = schedule(comparison, cases)
    left = [run for run in runs if not _is_done(comparison, run)]
    store_settings(comparison)  # only after the check above: the folder may hold runs of other settings
    runnable = [case for case in cases if case.error is None]
    unjudged = [case for case in runnable if not is_judged(comparison, case)]
    parity_groups = len({case.ranks for case in unjudged}) + bool(unjudged)
    measurements = pending_measurements(comparison, runs)
    progress = ComparisonProgress(len(left) + parity_groups + len(measurements))
    if len(left) < len(runs) or len(unjudged) < len(runnable):
        progress.say(
            f"resuming: {len(runs) - len(left)} of {len(runs)} runs and {len(runnable) - len(unjudged)} of "
            f"{len(runnable)} parity verdicts are there already"
        )
    with progress:
        ParityChecker(comparison, launcher_of(comparison, "parity"), progress.begin).check(unjudged)
        failed = _carry_out_runs(comparison, left, progress)
        if all(isinstance(failed.get(case), RunRefused) for case in runnable):
            raise failed[runnable[0]]
        for what, measure in measurements.items():
            progress.begin(what)
            try:
                measure()
            except RunFailed as failure:
                progress.say(f"not measured: {what}: {failure}")


def _is_done(comparison: Comparison, run: Run) -> bool:
    if not has_finished(run_folder(comparison, run)):
        return False
    changed = changed_setting(comparison, run)
    if changed is not None and not comparison.compare.overwrite:
        raise UsageError(
            "--dir", comparison.folder, f"holds runs of other settings ({changed}): choose another, or --overwrite true"
        )
    return changed is None


def _carry_out_runs(comparison: Comparison, runs: Sequence[Run], progress: ComparisonProgress) -> dict[Case, RunFailed]:
    """Carry runs out, and record why some failed.

    Returns:
        The cases that could not be measured, each with its first failure.
    """
    failed = dict[Case, RunFailed]()
    for run in runs:
        case = run.case
        what = "control run without communication" if run.control else f"round {run.round}"
        progress.begin(f"{case.variant} x{case.ranks}, global batch {case.global_batch}, {what}")
        if case in failed:
            continue  # it would fail again, after as long a wait
        try:
            _carry_out(comparison, run, progress.say)
            record_failure(comparison, run, None)
        except RunFailed as failure:
            record_failure(comparison, run, str(failure))
            progress.say(f"failed: {run.name}: {failure}; the others continue")
            if not run.control:
                failed[case] = failure
    return failed


def _carry_out(comparison: Comparison, run: Run, say: Callable[[str], None]) -> None:
    """Carry a run out; one that was too short is repeated, as are the later ones of its case, with more steps.

    Raises:
        RunFailed: with the ranks' own reason.
    """
    launcher = launcher_of(comparison, run.name)
    launcher.launch(run.case.ranks, run_program(comparison, run))
    steps = steps_wanted(comparison, run)
    if steps is not None:
        say(f"{run.case.variant} x{run.case.ranks}, global batch {run.case.global_batch}: {steps} steps from now on")
        shutil.rmtree(run_folder(comparison, run))  # first: else an interruption would leave it beside other settings
        set_measured_steps(comparison, run.case, steps)
        launcher.launch(run.case.ranks, run_program(comparison, run))
