"""Which blocks of the main thread are ended, and which are left alone."""

import time
from threading import Event

import pytest
import torch

from alexnet_dist.distributed import progress_limit
from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.progress_limit import ProgressLimit, limit_of

LIMIT = 0.2


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_limit, "LOOK_SECONDS", LIMIT / 10)


def test_a_block_that_takes_too_long() -> None:
    ended = Event()
    with ProgressLimit(lambda: LIMIT, lambda: False, lambda seconds: ended.set()):
        assert ended.wait(60)


def test_time_between_blocks_and_time_that_a_block_waits_for_its_data_do_not_count() -> None:
    waits, ended = Event(), Event()
    limit = ProgressLimit(lambda: LIMIT, waits.is_set, lambda seconds: ended.set())
    with limit:
        waits.set()
        time.sleep(2 * LIMIT)
        waits.clear()
    time.sleep(2 * LIMIT)
    with limit:
        pass
    assert not ended.wait(2 * LIMIT)


@pytest.mark.parametrize("size, backend, limited", [(1, "nccl", False), (2, "gloo", False), (2, "nccl", True)])
def test_only_steps_whose_devices_wait_for_other_ranks_are_limited(size: int, backend: str, limited: bool) -> None:
    world = World(0, size, torch.device("cpu"), None, backend)
    assert isinstance(limit_of(world, lambda: False, print), ProgressLimit) == limited
