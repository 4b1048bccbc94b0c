"""States are copied into the same host memory each time, in the order of the files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from no_waiting import copies_of_a_gpu
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from alexnet_dist.training.checkpoints.host_copies import HostCopies


def state(device: str = "cpu") -> dict[str, torch.Tensor]:
    """A convolution's weight in channels-last memory, and a step count."""
    weight = torch.arange(120.0, device=device).view(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    return {"weight": weight, "step": torch.ones(1, device=device)}


def test_the_memory_is_used_again() -> None:
    copies, live = HostCopies(), state()
    first = copies.copy(live)
    copies.wait()
    assert all(torch.equal(first[name], value) and first[name].is_contiguous() for name, value in live.items())
    live["weight"].add_(1)
    assert not torch.equal(first["weight"], live["weight"])
    second = copies.copy(live)
    copies.wait()
    assert torch.equal(second["weight"], live["weight"])
    assert [value.data_ptr() for value in first.values()] == [value.data_ptr() for value in second.values()]


def test_a_tensor_of_another_shape_has_memory_of_its_own() -> None:
    copies = HostCopies()
    (small,) = copies.copy({"weight": torch.ones(2)}).values()
    (large,) = copies.copy({"weight": torch.zeros(3)}).values()
    assert small.tolist() == [1, 1] and large.tolist() == [0, 0, 0]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_part_stays_a_part(alone: None) -> None:
    part = DTensor.from_local(state()["weight"], init_device_mesh("cpu", (1,)), [Shard(0)])
    copy = HostCopies().copy({"weight": part})["weight"]
    assert isinstance(copy, DTensor) and copy.placements == part.placements and copy.shape == part.shape
    assert torch.equal(copy.to_local(), part.to_local()) and copy.to_local().is_contiguous()
    assert copy.to_local().data_ptr() != part.to_local().data_ptr()


def test_a_gpus_state_is_copied_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wait` waits for the copies: for an event recorded after them."""
    copies, done = HostCopies(), list[int | str]()

    class Event:
        def __init__(self, blocking: bool) -> None:
            assert blocking, "a thread beside the training would take a core from it"

        def record(self) -> None:
            done.append(seen.count)

        def synchronize(self) -> None:
            done.append("waited")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    with copies_of_a_gpu() as seen:
        live = state("cuda")
        copied = copies.copy(live)
        assert copied["weight"].is_contiguous() and not live["weight"].is_contiguous()
    copies.wait()
    assert done == [2, "waited"]


@pytest.mark.gpu
def test_a_gpu_copies_by_itself_what_the_state_was() -> None:
    copies, live = HostCopies(), state("cuda")
    torch.cuda.synchronize()
    torch.cuda._sleep(1 << 28)  # about a tenth of a second: the device gets to the copy after the host has gone on
    copied = copies.copy(live)
    live["weight"].zero_()
    assert not copied["weight"].any() and copied["weight"].is_pinned()
    copies.wait()
    assert torch.equal(copied["weight"], state()["weight"]) and copied["step"].item() == 1
