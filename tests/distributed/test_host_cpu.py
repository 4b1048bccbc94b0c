"""How a process shares its cores among its threads."""

import os
import subprocess
import sys
from pathlib import Path

from alexnet_dist.distributed.cores import available_cores

PROGRAM = Path(__file__).with_name("thread_counts.py")


def test_the_training_thread_has_the_ranks_cores_and_others_compute_alone() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    line = [sys.executable, str(PROGRAM)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["1", str(available_cores())]
