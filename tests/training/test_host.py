"""How a process shares its cores among its threads."""

import os
import subprocess
import sys

PROGRAM = """
import torch
from threading import Thread
from alexnet_dist.distributed.host_cpu import use_own_cores
use_own_cores()
other = Thread(target=lambda: print(torch.get_num_threads()))
other.start()
other.join()
torch.randn(1 << 20).relu_()
print(torch.get_num_threads())
"""


def test_the_training_thread_has_the_ranks_cores_and_others_compute_alone() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["1", str(len(os.sched_getaffinity(0)))]
