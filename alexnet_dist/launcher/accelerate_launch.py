"""`accelerate launch`, as it is, but silent about failures that the ranks themselves have told.

    python -m alexnet_dist.launcher.accelerate_launch [flags of accelerate launch]

Started by `alexnet-dist launch`, to which it leaves word which rank failed first.
"""

import logging
import subprocess
import sys

from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.control_folder import write_first_failure

with quick_imports():
    import accelerate.commands.launch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> int:
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        accelerate.commands.launch.main()
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
