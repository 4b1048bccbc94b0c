"""The counter sees what any caller sends, whether from C++ or from Python."""

import json
from collections.abc import Iterator
from pathlib import Path

import preloaded
import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from alexnet_dist.distributed.mesh import SIMULATED
from alexnet_dist.distributed.traffic_counter import traffic_counter
from alexnet_dist.distributed.waits import unwatched

PROGRAM = Path(__file__).with_name("sender.py")


def test_bytes_of_every_collective_on_three_ranks(tmp_path: Path) -> None:
    output = tmp_path / "counted.json"
    preloaded.launch(3, [str(PROGRAM), str(output)])
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
        "barrier": {},
    }


@pytest.fixture
def first_of_four() -> Iterator[None]:
    """The other ranks are not there."""
    dist.init_process_group(SIMULATED, store=FakeStore(), rank=0, world_size=4)
    yield
    dist.destroy_process_group()


def test_what_gpus_send_is_seen(first_of_four: None) -> None:
    counter = traffic_counter()
    counter.take()
    with FakeTensorMode(), torch.device("cuda"):
        dist.all_reduce(torch.empty(200))
        assert counter.take() == {"all_reduce": 1200}
        work = dist.all_reduce(torch.empty(200, dtype=torch.bfloat16), async_op=True)
        with unwatched():  # as a checkpoint's thread
            dist.all_reduce(torch.empty(200))
        assert work is not None and counter.dtypes() == {"bfloat16": 600} and counter.take() == {"all_reduce": 600}
