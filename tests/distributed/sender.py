"""Started on three ranks by test_traffic_counter.py: sends by every collective and writes down what the counter saw.

python sender.py OUTPUT
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from alexnet_dist.distributed.traffic_counter import traffic_counter


def send_all() -> dict[str, dict[str, int]]:
    """Bytes by collective, for each call."""
    counter, group = traffic_counter(), dist.new_group([0, 1, 2])
    counted = {}

    def note(name: str) -> None:
        dtypes = counter.dtypes()
        counted[name] = counter.take()
        assert sum(dtypes.values()) == sum(counted[name].values()) and not counter.dtypes()
        if "bf16" in name:
            assert set(dtypes) == {"bfloat16"}

    assert isinstance(group, dist.ProcessGroup) and dist.group.WORLD is not None
    note("start")
    dist.all_reduce(torch.ones(300))
    note("all_reduce")
    dist.all_reduce(torch.ones(300, dtype=torch.bfloat16))
    note("all_reduce bf16")
    dist.all_gather([torch.empty(10) for _ in range(3)], torch.ones(10))
    note("all_gather list")
    dist.all_to_all_single(torch.empty(300), torch.ones(300), group=group)
    note("all_to_all")
    work = dist.all_reduce(torch.ones(300, dtype=torch.float64), async_op=True)
    assert work is not None
    work.wait()
    note("async fp64")
    dist.broadcast(torch.ones(300), 0)
    note("broadcast")
    net = DistributedDataParallel(torch.nn.Linear(30, 10, bias=False))
    for _ in range(3):
        counter.take()
        net(torch.ones(2, 30)).sum().backward()
    note("ddp, reduced in C++")
    dist.barrier()
    note("barrier")
    calls: dict[str, int] = {}
    for channel, sent in counter.totals.items():
        assert channel.ranks == 3 and channel.group in {group.group_name, dist.group.WORLD.group_name}
        calls[channel.collective] = calls.get(channel.collective, 0) + sent.calls
    assert calls.pop("barrier") >= 1 and calls["all_to_all"] == 1 and calls["all_gather"] >= 1
    assert sum(sent.bytes for sent in counter.totals.values()) >= 1600 + 800 + 80 + 800 + 3200 + 800 + 3 * 1600
    return counted


if __name__ == "__main__":
    dist.init_process_group("gloo")
    result = send_all()
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(result))
    dist.barrier()  # nobody closes a connection that another rank still uses
    dist.destroy_process_group()
