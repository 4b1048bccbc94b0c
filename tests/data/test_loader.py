"""The threads that prepare batches, and what they pass to the device."""

from threading import current_thread, main_thread
from typing import cast

import pytest
import torch
from no_waiting import copies_of_a_gpu
from torch import Tensor

from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.dataset import InMemory, Samples, on_device
from alexnet_dist.data.loader import Loader
from alexnet_dist.data.order import Order
from alexnet_dist.distributed.mesh import SampleShard
from alexnet_dist.rng import Rng

SECOND = torch.device("cuda", 1)


def test_each_uses_its_ranks_gpu_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new thread's current device is GPU 0, which belongs to another rank."""
    uses = dict.fromkeys([main_thread()], torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: uses.update({current_thread(): device}))

    def prepared(samples: Samples, epoch: int, ids: Tensor) -> tuple[Tensor, Tensor]:
        assert current_thread() is not main_thread() and uses.get(current_thread()) == SECOND
        return samples.batch(ids)

    samples = InMemory(torch.zeros(8, 1, 2, 2, dtype=torch.uint8), torch.arange(8))
    augmenter = cast(Augmenter, prepared)
    loader = Loader(samples, Order(Rng(0), 8, 2), SampleShard(0, 1, (0,)), 1, augmenter, 2, 2, SECOND)
    labels = torch.cat([batch.labels for batch in loader.micro_batches(0, 4)])
    assert sorted(labels.tolist()) == list(range(8)) and uses[main_thread()] == torch.device("cuda", 0)


def test_sample_numbers_go_to_a_gpu_without_waiting() -> None:
    with copies_of_a_gpu():
        assert on_device(torch.arange(4), SECOND).device == SECOND
