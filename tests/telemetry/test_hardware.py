"""What is recorded of the devices."""

import pytest
import torch
from replaced_gpus import A100, L4, MIXED

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.hardware import gather_hardware


@pytest.mark.parametrize("number, name", [(0, A100), (1, L4)])
def test_a_gpus_name_and_the_most_allocated_on_it(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MIXED.replace(monkeypatch)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 100 + device.index)
    found = gather_hardware(World(0, 1, torch.device("cuda", number), None))
    assert (found.device_type, found.device_names, found.peak_memory_bytes) == ("cuda", [name], [100 + number])
