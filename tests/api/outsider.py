"""Started by test_api.py on the installed wheel: runs an example, and on two ranks tries what `split` refuses.

python outsider.py EXAMPLE
"""

import os
import runpy
import sys

import torch
import torch.distributed as dist

import alexnet_dist as ad


def refused() -> None:
    """Say what a net that cannot be cut and ranks with different images lead to."""
    try:
        ad.split(ad.create_net(ad.layer_table("alexnet_small", towers=1)))
    except ad.UsageError as error:
        print(f"cut: {error}\n", end="")
    net = ad.split(ad.create_net(ad.layer_table("alexnet_small"))).eval()
    try:
        net(images=torch.full((1, 1, 32, 32), float(dist.get_rank())))
    except ValueError as error:
        print(f"images: {error}\n", end="")


runpy.run_path(sys.argv[1], run_name="__main__")
print(f"{ad.__file__}\n", end="")
if "RANK" in os.environ:
    dist.init_process_group("gloo")  # the example's own ended with it
    refused()
    dist.barrier()
    dist.destroy_process_group()
