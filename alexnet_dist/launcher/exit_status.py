"""How a rank ends: exit code, one line, exit.json. Imports nothing heavy: a mistake in a flag is answered at once."""

import atexit
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from os.path import lexists  # Path.exists raises where a folder may not be searched
from pathlib import Path

from alexnet_dist.config.paths import expanded
from alexnet_dist.distributed.launched_rank import launched_rank
from alexnet_dist.errors import (
    DONE,
    FAILED,
    INTERRUPTED,
    STOPPED,
    USAGE,
    Diverged,
    RankFailed,
    RunFailed,
    Stopped,
    UsageError,
    in_one_line,
    reason_of,
)
from alexnet_dist.launcher.control_folder import RankReport, control_folder, write_report, write_run_directory
from alexnet_dist.launcher.out_of_memory import out_of_memory
from alexnet_dist.launcher.rank_log import log_trace, print_on_console
from alexnet_dist.telemetry.folder_contents import is_free
from alexnet_dist.telemetry.run_files import EXIT, write_exit

# Parts of the errors that collectives raise when another rank is gone.
_LOST_PEER = ("gloo/transport", "pair closure", "NCCL error", "ProcessGroupNCCL", "Broken pipe", "Connection reset")
# NCCL's words for mistakes that are a rank's own, such as two ranks on one GPU or on slices (MIG) of one.
_OWN_MISTAKE = ("ncclInvalidUsage", "ncclInvalidArgument")
# A launcher ends all ranks as soon as one has ended. So a rank that only lost another one waits before it ends, and a
# rank with the same reason as the first rank waits until that one has printed it.
LOST_PEER_WAIT_SECONDS = 3.0
FIRST_RANK_WAIT_SECONDS = 20.0
END_SECONDS = 10


class ExitStatus:
    """What is known about a run when it ends.

    Attributes:
        folder: of the run, for exit.json; None where there is no run.
        owned: whether the folder is this run's own by now; before that, only a free folder gets an exit.json.
        release: releases the folder, when everything is written.
        where: what this rank is doing, in words.
        last_collective: names the collective that this rank began last.
        memory_remedy: what the user can do if memory runs out.
        parent: process id of what started this rank.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.parent = os.getppid()
        self.owned = False
        self.release: Callable[[], None] = lambda: None
        self.where = "its start"
        self.last_collective: Callable[[], str] = lambda: "no collective"
        self.memory_remedy = "use a machine with more memory"

    def at(self, where: str) -> None:
        self.where = where

    def own(self, folder: Path) -> None:
        """The folder is this run's own from now on."""
        self.folder, self.owned = folder, True
        write_run_directory(_rank(), folder)

    def write(self, code: int, reason: str) -> OSError | None:
        """Write exit.json: the first rank always; another rank only if it crashed, which the first cannot know.

        Returns:
            Why it could not be written, or None.
        """
        if self.folder is None or (code != FAILED and _rank() != 0) or not (self.owned or is_free(self.folder)):
            return None
        if code == FAILED and self.owned and (lexists(self.folder / EXIT) or not lexists(self.folder)):
            return None
        return write_exit(self.folder, code, reason)


def named_run_dir(flags: Sequence[str]) -> Path | None:
    """What --run.dir names; found even where the other flags are wrong."""
    words = [word for flag in flags for word in flag.split("=", 1)]
    given = [after for flag, after in pairwise(words) if flag == "--run.dir" and after]
    try:
        return None if not given or "://" in given[-1] else Path(expanded(given[-1]))
    except ValueError:
        return None


def print_reason(code: int, reason: str) -> None:
    """Print, as the last line on the console, why a program ended before it was done."""
    sys.stdout.flush()
    print_on_console(f"{'stopped' if code == STOPPED else 'error'}: {reason}")


def exit_code_of(action: Callable[[ExitStatus], None], status: ExitStatus) -> int:
    """Run an action; turn its outcome into an exit code, one line and exit.json.

    Returns:
        The exit code. Under `alexnet-dist launch`, which reads the rank's report, it is 0 unless this rank crashed: on
        any other number the launcher would report a failure, and start ranks again that refused their settings.
    """
    supervised, recurs = control_folder() is not None, False
    try:
        action(status)
        code, reason = DONE, "finished"
    except UsageError as error:
        code, reason = USAGE, str(error)
    except Stopped as stopped:
        code, reason = STOPPED, str(stopped)
    except (Diverged, RunFailed) as error:
        code, reason, recurs = FAILED, str(error), isinstance(error, Diverged)
    except KeyboardInterrupt:
        code, reason = INTERRUPTED, "interrupted"
    except Exception as error:
        return _crashed(error, status)
    if (problem := status.write(code, reason)) is not None and code == DONE:
        code, reason = FAILED, f"{EXIT} could not be written: {reason_of(problem)}"
    status.release()
    if code != DONE and not supervised:
        _tell_launcher(code, reason)
    write_report(_rank(), RankReport(code, reason, False, time.monotonic(), recurs))
    if code == FAILED:  # a checkpoint may be being written
        _end_at_once(DONE if supervised else code)
    _destroy_process_group()
    return DONE if supervised else code


def _tell_launcher(code: int, reason: str) -> None:
    """The first rank prints the reason, and leaves it where `accelerate launch` finds it and shows it last.

    The launcher then ends the other ranks, which print nothing. A rank that is not ended was the only one to refuse
    something, such as a variable of its own machine, and prints the reason itself.
    """
    if _rank() == 0:
        print_reason(code, reason)
        _write_elastic_error(f"error: {reason}")
    else:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(DONE))
        time.sleep(FIRST_RANK_WAIT_SECONDS)
        if code == USAGE:
            print_reason(code, reason)


def _write_elastic_error(text: str) -> None:
    """What torch's agent, which `accelerate launch` is, shows of a worker that failed."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": text, "timestamp": int(time.time())}))


def _crashed(error: Exception, status: ExitStatus) -> int:
    """Only this rank fails; the launcher ends the others."""
    lost_peer = _lost_peer(error)
    asked_for = out_of_memory(error)
    if asked_for is not None:
        reason = f"rank {_rank()} is out of memory in {status.where} ({asked_for}): {status.memory_remedy}"
    elif isinstance(error, RankFailed):
        reason = str(error)
    elif lost_peer:
        message = " ".join(str(error).split())
        reason = f"rank {_rank()} lost another rank in {status.where}, in {status.last_collective()}: {message}"
    elif isinstance(error, OSError | ImportError):  # the machine's or the installation's fault
        reason = f"rank {_rank()} failed in {status.where}: {reason_of(error)}"
    else:
        log_trace(status.folder if status.owned else None, _rank())
        reason = f"rank {_rank()} failed in {status.where}: {type(error).__name__}: {in_one_line(error)}"
    write_report(_rank(), RankReport(FAILED, reason, lost_peer, time.monotonic()))
    if lost_peer and "Timed out" not in reason:
        _wait_to_be_ended()  # the rank that failed first has the reason
    _tell_failure(status, reason)
    _end_at_once(FAILED)
    return FAILED


def _tell_failure(status: ExitStatus, reason: str) -> None:
    if control_folder() is None:
        print_reason(FAILED, reason)
        _write_elastic_error(f"error: {reason}")
    status.write(FAILED, reason)
    status.release()


def end_waiting(status: ExitStatus, seconds: float) -> None:
    """End this process from another thread: the main one waits for another rank where no exception reaches it.

    Args:
        seconds: for which it made no progress.
    """
    try:
        where, collective = status.where, status.last_collective()
        reason = f"rank {_rank()} made no progress for {seconds:.0f} s in {where}; its last collective: {collective}"
        write_report(_rank(), RankReport(FAILED, reason, lost_peer=True, time=time.monotonic()))
        time.sleep(LOST_PEER_WAIT_SECONDS)  # the other waiting ranks report, too: the one that does not is to blame
        _tell_failure(status, reason)
    finally:
        os._exit(FAILED)


def _lost_peer(error: Exception) -> bool:
    text = str(error)
    if isinstance(error, OSError) or any(part in text for part in _OWN_MISTAKE):
        return False
    return any(part in text for part in _LOST_PEER)


def _end_at_once(code: int) -> None:
    """Run the exit handlers and end this process at once, if it has process groups.

    By itself it would wait for what a hanging rank has not sent; and a thread that waits in a group would wake without
    an interpreter, at which C++ aborts.
    """
    if _has_process_group():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(END_SECONDS)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)


def _wait_to_be_ended() -> None:
    """Give the launcher time to end this rank, which it does by SIGTERM, silently."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(LOST_PEER_WAIT_SECONDS)


def _destroy_process_group() -> None:
    if _has_process_group():
        import torch.distributed as dist

        dist.destroy_process_group()


def _has_process_group() -> bool:
    """Whether torch was imported and has initialised a process group."""
    dist = sys.modules.get("torch.distributed")
    return dist is not None and dist.is_initialized()


def _rank() -> int:
    """This process's; 0 where the launcher's variables make no sense, which this process then reports itself."""
    try:
        return launched_rank(os.environ).rank
    except UsageError:
        return 0
