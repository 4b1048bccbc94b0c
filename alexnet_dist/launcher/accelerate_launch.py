"""Runs `accelerate launch` and returns the exit code of the rank that failed first, or 1 where a signal killed it.

Under a supervisor the failure is written to the control folder, and once a rank has failed, the others are killed after
10 seconds, not after 30 as by torch's agent: one of them may hang. Without a supervisor the failure is printed, unless
the rank refused (exit code 2) and said why itself. Interrupted by a signal, this ends the ranks and returns 130.

    python -m alexnet_dist.launcher.accelerate_launch [flags of accelerate launch]
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, USAGE, UsageError, reason_of
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.control_folder import (
    FirstFailure,
    RankReport,
    control_folder,
    write_first_failure,
    write_report,
)
from alexnet_dist.launcher.exit_status import print_reason
from alexnet_dist.launcher.processes import GRACE_SECONDS, end_processes, process_tree
from alexnet_dist.temporary import temporary_folder

KILL_SECONDS = 10  # from SIGTERM to SIGKILL


def main() -> int:
    try:
        with quick_imports():
            import accelerate.commands.launch
            from torch.distributed.elastic.multiprocessing.api import SignalException
            from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    except (UsageError, OSError, ImportError) as error:
        return _not_imported(error)
    if control_folder() is not None:
        _kill_sooner()
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        with _log_folder():
            accelerate.commands.launch.main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return _failed(FirstFailure(rank, failure.exitcode))
    except subprocess.CalledProcessError as error:  # one rank: Accelerate starts it without torch's agent
        return _failed(FirstFailure(0, error.returncode))
    except (SignalException, KeyboardInterrupt):
        _end_ranks()
        return INTERRUPTED
    return DONE


def _not_imported(error: UsageError | OSError | ImportError) -> int:
    code, reason = (USAGE, str(error)) if isinstance(error, UsageError) else (FAILED, reason_of(error))
    if control_folder() is None:
        print_reason(code, reason)
    write_report(0, RankReport(code, reason, lost_peer=False, time=time.monotonic()))
    return code


def _failed(failure: FirstFailure) -> int:
    folder = control_folder()
    if folder is not None:
        write_first_failure(folder, failure)
    elif failure.exitcode < 0:
        print_reason(FAILED, failure.cause)
    elif failure.exitcode != USAGE:  # whoever refuses says why
        print(failure.cause, file=sys.stderr)
    return max(failure.exitcode, FAILED)


@contextmanager
def _log_folder() -> Iterator[None]:
    """Inside, torch's agent has a folder that is deleted at the end; otherwise the agent would leave one behind."""
    if "--log_dir" in sys.argv[: sys.argv.index("--num_processes")]:  # what follows may be the program's own
        yield
        return
    with temporary_folder("alexnet-launch-") as folder:
        sys.argv[1:1] = ["--log_dir", str(folder)]
        yield


def _end_ranks() -> None:
    """End the rank that Accelerate started by itself; torch's agent has ended its own."""
    ranks = process_tree(os.getpid())[:-1]
    for rank in ranks:
        rank.terminate()
    end_processes(ranks, GRACE_SECONDS)


def _kill_sooner() -> None:
    """Give ranks `KILL_SECONDS` to end; the agent has no setting for it."""
    from torch.distributed.elastic.multiprocessing.api import PContext

    close = PContext.close

    def close_sooner(ranks: PContext, death_sig: signal.Signals | None = None, timeout: int = 30) -> None:
        close(ranks, death_sig, min(timeout, KILL_SECONDS))

    PContext.close = close_sooner  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main())
