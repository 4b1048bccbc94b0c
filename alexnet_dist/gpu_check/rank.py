"""One of parity's ranks. Where several share a GPU, each claims a host of its own: else NCCL refuses them."""

import os
import sys

from alexnet_dist.distributed.devices import SHARED_GPU
from alexnet_dist.parity.worker import main

if __name__ == "__main__":
    if os.environ.get(SHARED_GPU) == "nccl":
        os.environ["NCCL_HOSTID"] = f"rank-{os.environ.get('RANK', '0')}"
    sys.exit(main(sys.argv[1]))
