"""The supervisor of `alexnet-dist launch`: starts ranks, passes signals on, restarts after a fault, and reports how
they ended in one line and one exit code.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from alexnet_dist.errors import DONE, FAILED, STOPPED, UsageError
from alexnet_dist.launcher.control_folder import (
    CONTROL,
    RESTARTS,
    STOP,
    FirstFailure,
    RankReport,
    read_first_failure,
    read_reports,
    read_run_directory,
)
from alexnet_dist.launcher.exit_status import print_reason
from alexnet_dist.launcher.launch_line import Nodes, launch_environment, launch_line
from alexnet_dist.launcher.processes import end_with_parent, process_tree
from alexnet_dist.launcher.signals import StopRequests, stop_signals
from alexnet_dist.telemetry.run_files import EXIT, LAUNCHER, read_json, write_exit

ORPHAN_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """How ranks ended.

    Attributes:
        code: the program's exit code.
        reason: in one line.
        recurs: a restart would end the same way.
    """

    code: int
    reason: str
    recurs: bool = False


def supervise(ranks: int, program: Sequence[str], port: int | None, nodes: Nodes, max_restarts: int) -> int:
    """Start ranks, restart them after a fault, and print as the last line why they were not done.

    Args:
        ranks, program, port, nodes: as of `launch_line`.
        max_restarts: how many faults are followed by a restart; one more ends the run.

    Returns:
        The program's own exit code.

    Raises:
        UsageError: there is no place for temporary files.
    """
    number = 0
    with _temporary_folder() as folder:
        while True:
            line = launch_line(ranks, program, port, nodes, Path(folder, "agent"))
            attempt = Attempt(line, ranks // nodes.count, nodes.rank, Path(folder, str(number)))
            outcome = attempt.run(number)
            if outcome.code != FAILED or outcome.recurs or attempt.stop_requested or number == max_restarts:
                break
            number += 1
            print(f"restart {number} of {max_restarts}: {outcome.reason}", file=sys.stderr, flush=True)
        if outcome.code == FAILED:
            write_exit_reason(outcome, attempt.run_directory(), attempt.reports(), launcher_id=folder)
    if outcome.code != DONE:
        print_reason(outcome.code, outcome.reason)
    return outcome.code


def write_exit_reason(
    outcome: Outcome, folder: Path | None, reports: Mapping[int, RankReport], launcher_id: str
) -> None:
    """Write the printed reason to a run's exit.json, since ranks that fail together may each have written their own.

    One that a rank of another machine wrote is kept. A missing one means that the ranks were killed.

    Args:
        folder: of the run; None where no rank got that far.
        reports: of this machine's ranks.
        launcher_id: of these ranks' supervisor, as launcher.json has it.
    """
    if folder is None:
        return
    ended, mark = read_json(folder / EXIT), read_json(folder / LAUNCHER)
    if ended is None:
        ours = mark is not None and mark.get("id") == launcher_id
    else:
        ours = ended.get("reason") in {report.reason for report in reports.values()}
    if ours:
        write_exit(folder, outcome.code, outcome.reason)


def _temporary_folder() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="alexnet-launch-")
    except OSError as error:
        raise UsageError("TMPDIR", os.environ.get("TMPDIR", "/tmp"), error.strerror or "cannot be written") from None


class Attempt:
    """The ranks of this machine, from one start to their end.

    Args:
        line: starts them.
        ranks: how many it starts on this machine.
        node_rank: which machine this is.
        folder: the control folder; is created.
    """

    def __init__(self, line: Sequence[str], ranks: int, node_rank: int, folder: Path) -> None:
        self._line = line
        self._ranks = range(node_rank * ranks, (node_rank + 1) * ranks)
        self._requests, self._is_ended = StopRequests(), False
        self._launcher: subprocess.Popen[bytes] | None = None
        self._folder = folder

    def run(self, number: int) -> Outcome:
        """Start the ranks and wait for their end.

        Args:
            number: of restarts before this attempt.
        """
        self._make_folder()
        signals = stop_signals()
        handlers = {signum: signal.signal(signum, self._on_signal) for signum in signals}
        environment = {**launch_environment(), CONTROL: str(self._folder), RESTARTS: str(number)}
        # In a session of its own, so that Ctrl-C reaches the ranks through this process and does not kill the
        # launcher. Blocked, because Slurm sends a signal to every process of a job: the launcher inherits the mask
        # and ignores them, ranks unblock them once they handle them. So, if this process is killed, only SIGKILL ends
        # the launcher; its ranks notice, save and end.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        self._launcher = subprocess.Popen(
            self._line, env=environment, start_new_session=True, preexec_fn=partial(end_with_parent, signal.SIGKILL)
        )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        try:
            code = self._launcher.wait()
            if code < 0 and not self.stop_requested:
                self._wait_for_orphans()
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        if code == DONE and not self._folder.exists():
            return Outcome(DONE, "")  # ranks that do not find the folder end with codes of their own
        outcome = outcome_of(self.reports(), read_first_failure(self._folder), self._ranks, code)
        if self._is_ended and outcome.code == FAILED:
            return Outcome(FAILED, "asked to stop a second time: ended at once")
        return outcome

    def run_directory(self) -> Path | None:
        """The run directory; None where no rank got that far."""
        return read_run_directory(self._folder)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal requested a stop."""
        return self._requests.came

    def reports(self) -> dict[int, RankReport]:
        """Of the ranks that ended by themselves."""
        return read_reports(self._folder)

    def _wait_for_orphans(self) -> None:
        """Ranks outlive a launcher that is killed; they notice, save and end by themselves."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        while time.monotonic() < deadline and len(self.reports()) < len(self._ranks):
            time.sleep(0.1)

    def _make_folder(self) -> None:
        """TMPDIR may have been cleaned since the start of a run of weeks."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        """The first signal requests a stop, a later one kills."""
        if not self._requests.asks_again(signum):
            self._make_folder()
            (self._folder / STOP).touch()
        elif self._launcher is not None:
            self._is_ended = True
            for process in process_tree(self._launcher.pid):
                process.kill()


def outcome_of(
    reports: Mapping[int, RankReport], first_failure: FirstFailure | None, ranks: Sequence[int], launcher_code: int
) -> Outcome:
    """How ranks ended, and the first cause of it.

    Args:
        reports: of the ranks that ended by themselves, by rank.
        first_failure: as the launcher saw it.
        ranks: all that were started.
        launcher_code: the launcher's exit code.
    """
    in_time = sorted(reports.values(), key=lambda report: report.time)
    for report in in_time:
        if report.code not in (DONE, STOPPED) and not report.lost_peer:
            return Outcome(report.code, report.reason, report.recurs)
    lost = "; ".join(report.reason for report in in_time if report.lost_peer)[:400]
    silent = [rank for rank in ranks if rank not in reports]
    if silent or lost:
        return Outcome(FAILED, _failure(silent, lost, first_failure, launcher_code))
    stopped = [report for report in in_time if report.code == STOPPED]
    return Outcome(STOPPED, stopped[0].reason) if stopped else Outcome(DONE, "")


def _failure(silent: Sequence[int], lost: str, first_failure: FirstFailure | None, launcher_code: int) -> str:
    """Why ranks failed, where none of them reports a cause of its own.

    Args:
        silent: ranks without a report.
        lost: the reports of those that lost another rank.
    """
    if first_failure is not None and first_failure.rank in silent:
        cause = first_failure.cause
    elif silent and lost:
        cause = f"rank {', '.join(map(str, silent))} did not answer"
    elif silent:
        return f"the launcher ended with code {launcher_code} before rank {silent[0]} had finished"
    else:
        return lost
    return f"{cause}; {lost}" if lost else cause
