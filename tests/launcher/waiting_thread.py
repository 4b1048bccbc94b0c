"""`RANK=0|1 waiting_thread.py FOLDER failed|diverged`: rank 0 ends so while its thread waits for rank 1."""

import atexit
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from alexnet_dist.distributed.background import Background
from alexnet_dist.errors import FAILED, Diverged, RankFailed
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of

FOLDER, RANK = Path(sys.argv[1]), int(os.environ["RANK"])
ENDING = FOLDER / "ending"


def fail(_: ExitStatus) -> None:
    dist.init_process_group("gloo", f"file://{FOLDER}/store", rank=RANK, world_size=2)
    Background[int]("waits", torch.device("cpu")).submit(lambda: dist.recv(torch.zeros(1), 1 - RANK))
    if RANK == 0:
        time.sleep(0.5)  # for the thread to wait
        raise Diverged("the loss", float("nan")) if sys.argv[2] == "diverged" else RankFailed("its own reason")
    while not ENDING.exists():
        time.sleep(0.001)
    os._exit(FAILED)


if RANK == 0:
    atexit.register(ENDING.touch)
sys.exit(exit_code_of(fail, ExitStatus()))
