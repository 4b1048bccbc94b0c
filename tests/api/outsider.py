"""Started by test_api.py on the installed wheel: runs an example, and on two ranks tries what `split` refuses.

python outsider.py EXAMPLE
"""

import os
import runpy
import sys

import torch
import torch.distributed as dist

import alexnet_dist as ad


def join_again() -> None:
    """A group after the example's own has ended, under keys that the store does not have yet."""
    host, port, size = (os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE"))
    server = dist.TCPStore(host, int(port), is_master=False)  # type: ignore[attr-defined]
    store = dist.PrefixStore("again", server)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=int(os.environ["RANK"]), world_size=int(size))


def refused() -> None:
    """Say what a net that cannot be cut and ranks with different images lead to."""
    try:
        ad.split(ad.create_net(ad.layer_table("alexnet_small", towers=1)))
    except ad.UsageError as error:
        print(f"cut: {error}\n", end="")
    net = ad.split(ad.create_net(ad.layer_table("alexnet_small"))).eval()
    for call in (lambda: ad.split(net), lambda: ad.export_onnx(net, "split.onnx"), lambda: net(pictures=None)):
        try:
            call()
        except (TypeError, ValueError) as error:
            print(f"refused: {error}\n", end="")
    try:
        net(images=torch.full((1, 1, 32, 32), float(dist.get_rank())))
    except ValueError as error:
        print(f"images: {error}\n", end="")
    split = ad.split(ad.create_net(ad.layer_table("alexnet_small"))).eval()
    print(f"of NaN: {split(torch.full((1, 1, 32, 32), torch.nan)).isnan().all()}\n", end="")


runpy.run_path(sys.argv[1], run_name="__main__")
print(f"{ad.__file__}\n", end="")
if "RANK" in os.environ:
    join_again()
    refused()
    dist.barrier()
    dist.destroy_process_group()
