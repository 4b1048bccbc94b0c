"""`accelerate launch`, as it is, but silent about failures that the ranks themselves have told.

    python -m alexnet_dist.accelerate_launcher [flags of accelerate launch]

Started by `alexnet-dist launch`, to which it leaves word which rank failed first.
"""

import logging
import runpy
import subprocess
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from alexnet_dist.training.control import write_first_failure


def main() -> int:
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        runpy.run_module("accelerate.commands.launch", run_name="__main__", alter_sys=True)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        write_first_failure(rank, failure.exitcode)
        return 1
    except subprocess.CalledProcessError as error:  # one rank: Accelerate starts it without torch's agent
        write_first_failure(0, error.returncode)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
