"""A whole comparison: the runs, the report, the exit code."""

from collections.abc import Sequence

from alexnet_dist.compare.cases import Case, list_cases, schedule
from alexnet_dist.compare.config import FLAGS, Comparison
from alexnet_dist.compare.report import HTML, Report, command_of, report_of, write_report
from alexnet_dist.compare.runner import carry_out, locked_folder
from alexnet_dist.compare.tables import notes, print_tables
from alexnet_dist.compare.tracking import log_comparison
from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, refusing
from alexnet_dist.telemetry.hardware import load_warnings
from alexnet_dist.telemetry.trackers import check_trackers
from alexnet_dist.temporary import interruptible


def compare(comparison: Comparison) -> int:
    """Run whatever has no result yet, and write the report.

    Returns:
        DONE where every case ran and is the same training, FAILED where one did not or is not, or INTERRUPTED.

    Raises:
        UsageError: no case can run, a tracker is missing, or the folder is in use or holds runs of other settings.
        RunRefused: the ranks of every case refuse its settings.
    """
    check_trackers(comparison)
    cases = list_cases(comparison)
    _print_warnings(comparison)
    for line in load_warnings():
        print(f"warning: {line}", flush=True)
    try:
        with interruptible(), locked_folder(comparison):
            carry_out(comparison, cases)
            report = _print_report(comparison, cases)
            log_comparison(report, write_report(report), print)
            return _end(report)
    except KeyboardInterrupt:
        print("interrupted: the same command continues where this one stopped", flush=True)
        return INTERRUPTED


def print_commands(comparison: Comparison) -> int:
    """Print the command of each run, and run nothing."""
    cases = list_cases(comparison)
    _print_warnings(comparison)
    for run in schedule(comparison, cases):
        print(command_of(comparison, run))
    return DONE


def report_again(comparison: Comparison) -> int:
    """Report what the comparison's folder holds, and run nothing. Returns as `compare` does.

    Raises:
        UsageError: the folder cannot be written.
    """
    report = _print_report(comparison, list_cases(comparison))
    with refusing("--from", comparison.folder, "the report cannot be written: copy the folder to another place"):
        write_report(report)
    return _end(report)


def _print_warnings(comparison: Comparison) -> None:
    for line in FLAGS.overridden_in(comparison):
        print(f"warning: {line}")


def _print_report(comparison: Comparison, cases: Sequence[Case]) -> Report:
    """Print the tables; before anything is written, as the disk may be full."""
    report = report_of(comparison, cases)
    title = f"{report.title}, {report.facts.get('devices', 'no device')}, rounds: {comparison.compare.rounds}"
    print_tables(title, report.tables, [*notes(report.rows), report.summary])
    return report


def _end(report: Report) -> int:
    """Say where the report is; the exit code."""
    print(f"report: {report.comparison.folder / HTML}", flush=True)
    return DONE if all(row.valid for row in report.rows) else FAILED
