"""`accelerate launch` that records which rank failed first; the supervisor prints why.

Once a rank has failed, the others, of which one may hang, are killed after 10 seconds, not 30 as by torch's agent.

    python -m alexnet_dist.launcher.first_failure [flags of accelerate launch]

Started by `alexnet-dist launch`.
"""

import logging
import signal
import subprocess
import sys
import time

from alexnet_dist.errors import FAILED, USAGE, UsageError, reason_of
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.control_folder import FirstFailure, RankReport, write_first_failure, write_report

LAST_WORDS_SECONDS = 10  # from SIGTERM to SIGKILL


def main() -> int:
    try:
        with quick_imports():
            import accelerate.commands.launch
            from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    except (UsageError, OSError, ImportError) as error:
        wrong = isinstance(error, UsageError)
        reason = str(error) if wrong else reason_of(error)
        write_report(0, RankReport(USAGE if wrong else FAILED, reason, lost_peer=False, time=time.monotonic()))
        return 1
    _kill_sooner()
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        accelerate.commands.launch.main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        write_first_failure(FirstFailure(rank, failure.exitcode))
        return 1
    except subprocess.CalledProcessError as error:  # one rank: Accelerate starts it without torch's agent
        write_first_failure(FirstFailure(0, error.returncode))
        return 1
    return 0


def _kill_sooner() -> None:
    """Give ranks `LAST_WORDS_SECONDS` to end; the agent has no setting for it."""
    from torch.distributed.elastic.multiprocessing.api import PContext

    close = PContext.close

    def close_sooner(ranks: PContext, death_sig: signal.Signals | None = None, timeout: int = 30) -> None:
        close(ranks, death_sig, min(timeout, LAST_WORDS_SECONDS))

    PContext.close = close_sooner  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main())
