"""How a rank ends: exit code, one line, exit.json. Imports nothing heavy: a mistake in a flag is answered at once."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from alexnet_dist.errors import DONE, FAILED, STOPPED, USAGE, Diverged, Stopped, UsageError
from alexnet_dist.launcher.control_folder import RankReport, control_folder, write_report
from alexnet_dist.telemetry.run_files import CONFIG, EXIT, write_exit

# Parts of the errors that collectives raise when another rank is gone.
_LOST_PEER = ("gloo/transport", "pair closure", "NCCL error", "ProcessGroupNCCL", "Broken pipe", "Connection reset")
# A launcher ends all ranks as soon as one has ended. So a rank that only lost another one waits before it ends, and one
# that knows no more than the first rank waits for that one's message.
LOST_PEER_WAIT_SECONDS = 3.0
FIRST_RANK_WAIT_SECONDS = 10.0


class ExitStatus:
    """What is known of a run when it ends.

    Attributes:
        folder: of the run, for exit.json; None until it is this run's own, and where there is no run.
        where: what this rank is doing, in words.
        last_collective: names the collective that this rank began last.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.where = "the start"
        self.last_collective: Callable[[], str] = lambda: "no collective"

    def at(self, where: str) -> None:
        self.where = where

    def write(self, code: int, reason: str) -> None:
        """Write exit.json: the first rank always; another only that it crashed, which the first cannot know."""
        if self.folder is None or (code != FAILED and _rank() != 0):
            return
        if not (self.folder / EXIT).exists() or code != FAILED:
            write_exit(self.folder, code, reason)


def free_run_dir(flags: Sequence[str]) -> Path | None:
    """What --run.dir names, unless it holds a run; found even where the other flags are wrong."""
    words = [word for flag in flags for word in flag.split("=", 1)]
    names = [after for flag, after in pairwise(words) if flag == "--run.dir" and after]
    return Path(names[-1]) if names and not os.path.lexists(Path(names[-1], CONFIG)) else None


def print_reason(code: int, reason: str) -> None:
    """One line on stderr: why a program ended before it was done."""
    print(f"{'stopped' if code == STOPPED else 'error'}: {reason}", file=sys.stderr, flush=True)


def exit_code_of(action: Callable[[ExitStatus], None], status: ExitStatus) -> int:
    """Run an action; turn its outcome into an exit code, one line and exit.json.

    Returns:
        The exit code. Under `alexnet-dist launch`, which reads the rank's report, it is 0 unless this rank crashed: on
        any other number the launcher would report a failure, and start ranks again that refused their settings.
    """
    supervised = control_folder() is not None
    try:
        action(status)
        code, reason = DONE, "finished"
    except UsageError as error:
        code, reason = USAGE, str(error)
    except Stopped as stopped:
        code, reason = STOPPED, str(stopped)
    except Diverged as error:
        code, reason = FAILED, str(error)
    except Exception as error:
        return _crashed(error, status)
    if code != DONE and _rank() == 0 and not supervised:
        print_reason(code, reason)
    status.write(code, reason)
    if code != DONE and _rank() != 0 and not supervised:
        _wait_to_be_ended(FIRST_RANK_WAIT_SECONDS)
    write_report(_rank(), RankReport(code, reason, lost_peer=False, time=time.time()))
    _destroy_process_group()
    return DONE if supervised else code


def _crashed(error: Exception, status: ExitStatus) -> int:
    """This rank fails alone; the launcher ends the others."""
    lost_peer = any(part in str(error) for part in _LOST_PEER)
    if lost_peer:
        message = " ".join(str(error).split())
        reason = f"rank {_rank()} lost another rank in {status.where}, in {status.last_collective()}: {message}"
    else:
        traceback.print_exc()
        reason = f"rank {_rank()} failed in {status.where}: {type(error).__name__}: {error}"
    write_report(_rank(), RankReport(FAILED, reason, lost_peer, time.time()))
    if lost_peer and "Timed out" not in reason:
        _wait_to_be_ended(LOST_PEER_WAIT_SECONDS)  # the rank that failed first has the reason
    if control_folder() is None:
        print_reason(FAILED, reason)
    status.write(FAILED, reason)
    return FAILED


def _wait_to_be_ended(seconds: float) -> None:
    """Leave the launcher time to end this rank, which it does by SIGTERM and without a word."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(seconds)


def _destroy_process_group() -> None:
    if "torch" in sys.modules:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))
