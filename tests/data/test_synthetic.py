"""Synthetic images."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from alexnet_dist.config.layer_table import layer_table
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import InMemory
from alexnet_dist.data.sets.synthetic import Synthetic
from alexnet_dist.rng import Rng


class _Devices(TorchDispatchMode):
    """Notes where tensors of more than a few values are made."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.numel() > 8:
            self.found.add(result.device.type)
        return result


def test_they_are_drawn_by_the_device_that_they_are_for() -> None:
    """On a CPU, 4,096 images of 224 x 224 take seconds."""
    with FakeTensorMode(), _Devices() as devices:
        parts = Synthetic().open(DataConfig(samples=40), layer_table("alexnet_2012"), Rng(0), torch.device("cuda", 0))
        assert isinstance(parts.train, InMemory)
        assert parts.train.pixels.device == parts.train.labels.device == torch.device("cuda", 0)
    assert devices.found == {"cuda"}
