"""The folder through which `alexnet-dist launch` and its ranks communicate.

Signals to `accelerate launch` do not reach its workers, and it turns each of their exit codes into 1. So the supervisor
requests a stop by a file, and each rank leaves a file that says how it ended.
"""

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from alexnet_dist.telemetry.run_files import write_json

CONTROL, RESTARTS = "ALEXNET_DIST_CONTROL", "ALEXNET_DIST_RESTARTS"
STOP, FIRST_FAILURE = "stop", "first_failure.json"


@dataclass(frozen=True)
class RankReport:
    """How a rank ended.

    Attributes:
        code: its exit code.
        reason: in one line.
        lost_peer: it failed because another rank was gone.
        time: when, in seconds of this machine's monotonic clock.
        recurs: a run that resumes would end the same way.
    """

    code: int
    reason: str
    lost_peer: bool
    time: float
    recurs: bool = False


@dataclass(frozen=True)
class FirstFailure:
    """The rank that failed first, as the launcher saw it.

    Attributes:
        exitcode: negative: the signal that killed it.
    """

    rank: int
    exitcode: int

    @property
    def cause(self) -> str:
        """In words."""
        if self.exitcode >= 0:
            return f"rank {self.rank} ended with code {self.exitcode}"
        names = {number.value: number.name for number in signal.Signals}  # without most real-time signals
        name = names.get(-self.exitcode, f"signal {-self.exitcode}")
        hint = " (most often: out of memory)" if self.exitcode == -signal.SIGKILL else ""
        return f"rank {self.rank} was killed by {name}{hint}"


def control_folder() -> Path | None:
    """This rank's control folder; None where `alexnet-dist launch` did not start it."""
    folder = Path(os.environ.get(CONTROL) or os.devnull)
    return folder if folder.is_dir() else None


def write_report(rank: int, report: RankReport) -> None:
    """Leave a report for the supervisor, if there is one."""
    folder = control_folder()
    if folder is not None:
        write_json(folder / f"rank-{rank}.json", asdict(report))


def read_reports(folder: Path) -> dict[int, RankReport]:
    """The reports of this machine's ranks, by rank; only of those that ended by themselves."""
    paths = folder.glob("rank-*.json")
    return {int(path.stem.removeprefix("rank-")): RankReport(**json.loads(path.read_text())) for path in paths}


def write_first_failure(folder: Path, failure: FirstFailure) -> None:
    write_json(folder / FIRST_FAILURE, asdict(failure))


def read_first_failure(folder: Path) -> FirstFailure | None:
    path = folder / FIRST_FAILURE
    return FirstFailure(**json.loads(path.read_text())) if path.exists() else None


def write_run_directory(rank: int, folder: Path) -> None:
    """Tell the supervisor, if there is one, the run directory. It can do without, where TMPDIR is full."""
    control = control_folder()
    if control is not None:
        with suppress(OSError):
            write_json(control / f"run-{rank}.json", {"folder": str(folder)})


def read_run_directory(control: Path) -> Path | None:
    """The run directory; None where no rank has reported it."""
    reported = next(control.glob("run-*.json"), None)
    return None if reported is None else Path(json.loads(reported.read_text())["folder"])
