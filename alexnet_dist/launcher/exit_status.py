"""How a program ends: exit code, one line, exit.json. Imports nothing heavy, so that a slip is answered at once."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from alexnet_dist.errors import Diverged, Stopped, UsageError
from alexnet_dist.launcher.control_folder import control_folder, write_report
from alexnet_dist.telemetry.run_files import CONFIG, EXIT, write_exit

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 75
# What a collective says when another rank is gone: the reason is there, not here.
_LOST = ("gloo/transport", "pair closure", "NCCL error", "ProcessGroupNCCL", "Broken pipe", "Connection reset")
OTHERS_FIRST_SECONDS = 3.0
FIRST_RANK_SECONDS = 10.0


class ExitStatus:
    """What is known of a run when it ends.

    Attributes:
        folder: where to write how it ended; a refusal to touch an earlier run's folder is not written into it.
        where: what this rank is doing, in words.
        last_collective: names the one that this rank has begun last.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.where = "the start"
        self.last_collective: Callable[[], str] = lambda: "no collective"

    def at(self, where: str) -> None:
        self.where = where

    def write(self, code: int, reason: str) -> None:
        """The first rank writes; another one only what the first cannot know: that it crashed."""
        if self.folder is None or (code != FAILED and int(os.environ.get("RANK", "0")) != 0):
            return
        if not (self.folder / EXIT).exists() or code != FAILED:
            write_exit(self.folder, code, reason)


def named_folder(flags: Sequence[str]) -> Path | None:
    """The free folder that --run.dir names, known even where the rest of the flags is nonsense."""
    words = [word for flag in flags for word in flag.split("=", 1)]
    names = [after for flag, after in pairwise(words) if flag == "--run.dir" and after]
    return Path(names[-1]) if names and not os.path.lexists(Path(names[-1], CONFIG)) else None


def exit_code_of(action: Callable[[ExitStatus], None], ending: ExitStatus) -> int:
    """Run, and turn what happens into an exit code, one line and exit.json.

    Returns:
        The exit code. Under `alexnet-dist launch`, which learns the code by itself, 0 also where all ranks end by
        their own will: any other number makes a launcher start ranks again that refused, or tell a story of failure.
    """
    rank = int(os.environ.get("RANK", "0"))
    supervised = control_folder() is not None
    try:
        action(ending)
        code, reason = DONE, "finished"
    except UsageError as refusal:
        code, reason = REFUSED, str(refusal)
    except Stopped as stopped:
        code, reason = STOPPED, str(stopped)
    except Diverged as diverged:
        code, reason = FAILED, str(diverged)
    except Exception as error:
        return _failed(error, ending, rank)
    if code != DONE and rank == 0 and not supervised:
        print(f"{'stopped' if code == STOPPED else 'error'}: {reason}", file=sys.stderr, flush=True)
    ending.write(code, reason)
    if code != DONE and rank != 0 and not supervised:
        _await_first_rank()
    write_report(rank, {"code": code, "reason": reason, "lost": False, "time": time.time()})
    if "torch" in sys.modules:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
    return DONE if supervised else code


def _await_first_rank() -> None:
    """Live until the first rank has told why: a launcher ends all others, it too, as soon as one has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(FIRST_RANK_SECONDS)


def _failed(error: Exception, ending: ExitStatus, rank: int) -> int:
    """One rank fails by itself; the launcher will end the others."""
    lost = any(word in str(error) for word in _LOST)
    if lost:
        said = " ".join(str(error).split())
        reason = f"rank {rank} lost another rank in {ending.where}, in {ending.last_collective()}: {said}"
    else:
        traceback.print_exc()
        reason = f"rank {rank} failed in {ending.where}: {type(error).__name__}: {error}"
    write_report(rank, {"code": FAILED, "reason": reason, "lost": lost, "time": time.time()})
    if lost and "Timed out" not in reason:
        # The rank that failed first has the reason: the launcher may end this one silently, at the first signal.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(OTHERS_FIRST_SECONDS)
    if control_folder() is None:
        print(f"error: {reason}", file=sys.stderr, flush=True)
    ending.write(FAILED, reason)
    return FAILED
