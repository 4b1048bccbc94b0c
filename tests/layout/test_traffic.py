"""The counter sees what any caller sends, in C++ as well as in Python."""

import json
from pathlib import Path

from alexnet_dist.launcher.processes import launch

SENDER = """
import json, sys
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from alexnet_dist.distributed.traffic import traffic_counter

dist.init_process_group("gloo")
counter, group = traffic_counter(), dist.new_group([0, 1, 2])
counted = {}

def note(name):
    dtypes = counter.dtypes()
    counted[name] = counter.take()
    assert sum(dtypes.values()) == sum(counted[name].values()) and not counter.dtypes()
    if "bf16" in name:
        assert set(dtypes) == {"bfloat16"}

note("start")
dist.all_reduce(torch.ones(300)); note("all_reduce")
dist.all_reduce(torch.ones(300, dtype=torch.bfloat16)); note("all_reduce bf16")
dist.all_gather([torch.empty(10) for _ in range(3)], torch.ones(10)); note("all_gather list")
dist.all_to_all_single(torch.empty(300), torch.ones(300), group=group); note("all_to_all")
work = dist.all_reduce(torch.ones(300, dtype=torch.float64), async_op=True); work.wait(); note("async fp64")
dist.broadcast(torch.ones(300), 0); note("broadcast")
net = DistributedDataParallel(torch.nn.Linear(30, 10, bias=False))
for _ in range(3):
    counter.take()
    net(torch.ones(2, 30)).sum().backward()
note("ddp, reduced in C++")
if dist.get_rank() == 0:
    with open(sys.argv[1], "w") as file:
        json.dump(counted, file)
dist.barrier()  # nobody closes a connection that another rank still uses
dist.destroy_process_group()
"""


def test_bytes_of_every_collective_on_three_ranks(tmp_path: Path) -> None:
    script = tmp_path / "sender.py"
    script.write_text(SENDER)
    output = tmp_path / "counted.json"
    launch(3, [str(script), str(output)])
    counted = json.loads(output.read_text())
    # With S bytes in the full buffer and N = 3: all-reduce 2 (N - 1) / N S, the others (N - 1) / N S.
    assert counted == {
        "start": {},
        "all_reduce": {"all_reduce": 1600},
        "all_reduce bf16": {"all_reduce": 800},
        "all_gather list": {"all_gather": 80},
        "all_to_all": {"all_to_all": 800},
        "async fp64": {"all_reduce": 3200},
        "broadcast": {"broadcast": 800},
        "ddp, reduced in C++": {"all_reduce": 1600},
    }
