"""One real rank in a world of any size: the other ranks do not exist.

torch's fake process groups accept every collective and answer at once with this rank's own values. So everything that a
rank does can be counted, tensors and files are real, and the results of collectives are meaningless.
"""

import os

import torch.distributed as dist

# Registers the backend.
from torch.testing._internal.distributed.fake_pg import FakeStore

from alexnet_dist.distributed.cores import THREADS, USERS_THREADS
from alexnet_dist.distributed.mesh import SIMULATED

RANKS_PER_NODE = 8


def enter_simulated_world(ranks: int) -> None:
    """Make this process, which has no process group yet, the first of `ranks` ranks."""
    os.environ |= {
        "RANK": "0",
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": str(min(ranks, RANKS_PER_NODE)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",  # nobody connects
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        USERS_THREADS: "1",
        THREADS: "1",
    }
    dist.init_process_group(SIMULATED, store=FakeStore(), rank=0, world_size=ranks)
