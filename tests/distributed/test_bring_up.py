"""Ranks on machines with GPUs, and the time limits of process groups."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate import state
from conftest import ROOT
from replaced_gpus import GTX_1080, ONE, TWO, Machine

from alexnet_dist.distributed import bring_up
from alexnet_dist.distributed.bring_up import (
    NCCL_GRACE,
    STARTUP_TIMEOUT,
    AcceleratorOptions,
    init_distributed,
    limit_waiting,
)
from alexnet_dist.distributed.devices import SHARED_GPU
from alexnet_dist.distributed.mesh import World, new_host_group
from alexnet_dist.distributed.progress_limit import GRACE_SECONDS
from alexnet_dist.errors import UsageError


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One process that counts as the first of two."""
    store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield World(0, 2, torch.device("cpu"), new_host_group(timedelta(minutes=1)), "nccl")
    dist.destroy_process_group()


def seconds(group: dist.ProcessGroup | None) -> float:
    assert group is not None
    return group._get_backend(torch.device("cpu")).options._timeout.total_seconds()


def test_nccl_gives_up_after_the_control_group(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error that names the rank must come before NCCL's watchdog ends the process without a message."""
    tensors = new_host_group(timedelta(minutes=1))
    backend = dist.get_backend
    monkeypatch.setattr(dist, "get_backend", lambda group: "nccl" if group is tensors else backend(group))
    limit_waiting(world, [tensors], timedelta(seconds=20))
    assert [seconds(group) for group in (world.control, dist.group.WORLD)] == [20, 20]
    assert seconds(tensors) == 20 + NCCL_GRACE.total_seconds() >= 20 + GRACE_SECONDS + 10


def test_one_process_has_its_gpu_by_number(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate's device has no number."""
    ONE.replace(monkeypatch)
    accelerator, world = init_distributed(AcceleratorOptions(), "no", 1)
    assert accelerator.device == torch.device("cuda") and world.device == torch.device("cuda", 0)


def test_ranks_that_share_a_gpu_are_refused(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ONE.replace(monkeypatch)
    monkeypatch.setattr(bring_up, "gather_on_first", lambda world, uuid: [uuid, uuid])  # of a rank that sees the same
    with pytest.raises(UsageError, match=r"GPUs: ranks 0, 1 share one \(uuid-0\)"):
        init_distributed(AcceleratorOptions(), "no", 1)


def test_a_gpu_that_torch_is_not_built_for_is_refused(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine((GTX_1080,)).replace(monkeypatch)
    with pytest.raises(UsageError, match=r"GPUs: NVIDIA GeForce GTX 1080 \(sm_61\): "):
        init_distributed(AcceleratorOptions(), "no", 1)


def test_more_ranks_than_gpus_are_refused_before_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    TWO.replace(monkeypatch)
    variables = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bring_up, "Accelerator", lambda **_: pytest.fail("they meet"))
    with pytest.raises(UsageError, match="GPUs: 3 ranks and 2 visible"):
        init_distributed(AcceleratorOptions(), "no", 3)


def test_ranks_are_bound_near_their_gpu_where_a_site_says_so(
    one_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ONE.replace(monkeypatch)
    bound: list[int] = []
    monkeypatch.setattr(state, "set_numa_affinity", bound.append)
    offered = re.search(r"^#   export (\w+)=1$(?<=AFFINITY=1)", (ROOT / "slurm/site.sh").read_text(), re.MULTILINE)
    assert offered is not None
    monkeypatch.setenv(offered[1], "1")
    init_distributed(AcceleratorOptions(), "no", 1)
    assert bound == [0]


def test_gpus_that_accelerate_refuses_are_one_line(one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """RTX 40 with an old driver, started by a launcher other than Accelerate's."""
    ONE.replace(monkeypatch)
    monkeypatch.setattr(state, "check_cuda_p2p_ib_support", lambda: False)
    with pytest.raises(UsageError, match="NCCL_P2P_DISABLE"):
        init_distributed(AcceleratorOptions(), "no", 1)


def test_a_gloo_group_is_bound_to_no_gpu(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSpeed's ranks that share a GPU: torch would split the group for a mesh, which torch 2.11 cannot over gloo."""
    ONE.replace(monkeypatch)
    monkeypatch.setenv(SHARED_GPU, "gloo")
    group = dist.group.WORLD
    assert group is not None
    group.bound_device_id = torch.device("cuda", 0)
    accelerator = SimpleNamespace(num_processes=2, process_index=0, device=torch.device("cuda", 0))
    monkeypatch.setattr(bring_up, "_make_accelerator", lambda settings: accelerator)
    monkeypatch.setattr(bring_up, "_control_group", lambda: None)
    init_distributed(AcceleratorOptions(), "no", 2)
    assert group.bound_device_id is None


@pytest.mark.parametrize("shared, backend", [("", "nccl"), ("gloo", "gloo")])
def test_what_accelerate_is_asked_for(shared: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    TWO.replace(monkeypatch)
    monkeypatch.setenv(SHARED_GPU, shared)

    def asked(cpu: bool, kwargs_handlers: list[Any], **_: object) -> None:
        (group,) = kwargs_handlers
        assert not cpu and (group.backend, group.timeout) == (backend, STARTUP_TIMEOUT)
        raise ValueError("seen")

    monkeypatch.setattr(bring_up, "Accelerator", asked)
    with pytest.raises(UsageError, match="seen"):
        init_distributed(AcceleratorOptions(), "no", 2)
