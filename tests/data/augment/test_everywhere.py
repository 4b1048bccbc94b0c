"""A sample's pixels are the same on any rank, in any thread, after a resume; on a GPU the shapes are."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.crops import gathered_squares, squares
from alexnet_dist.data.dataset import InMemory
from alexnet_dist.data.loader import Loader
from alexnet_dist.data.order import Order
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.mesh import SampleShard
from alexnet_dist.rng import Rng

SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "alexnet": {"crop": 24, "crop_padding": 2, "normalise": "mean_image"},
    "inception": {"crop": 24},
}


def samples(count: int = 100) -> InMemory:
    pixels = torch.randint(0, 256, (count, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return InMemory(pixels, torch.arange(count))


def augmenter(name: str, images: InMemory) -> Augmenter:
    settings, statistics = DataConfig(augment=name, **SETTINGS[name]), images.statistics()
    transform = InputTransform.of(settings, 32, torch.float32, statistics.mean_image)
    made: Augmenter = registry.load(registry.augmentations[name].augmenter)(settings, transform, Rng(4), statistics)
    return made


def loaded(
    made: Augmenter, images: InMemory, shards: int, accumulate: int, workers: int, start: int = 0
) -> dict[tuple[int, int], Tensor]:
    """Pixels by step and sample number, from step `start` to the end of the second epoch."""
    order, found = Order(Rng(4), len(images), 24), dict[tuple[int, int], Tensor]()
    for index in range(shards):
        shard = SampleShard(index, shards, tuple(range(shards)))
        loader = Loader(images, order, shard, accumulate, made, workers, 2, torch.device("cpu"))
        batches = loader.micro_batches(start, 10)
        for step, _ in product(range(start, 10), range(accumulate)):
            batch = next(batches)
            found |= {(step, int(i)): image for i, image in zip(batch.ids, batch.images, strict=True)}
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_ranks_threads_micro_batches_and_a_resume(name: str) -> None:
    images = samples()
    made = augmenter(name, images)
    whole = loaded(made, images, 1, 1, 0)
    assert len(whole) == 200
    for shards, accumulate, workers, start in ((1, 3, 1, 0), (2, 1, 2, 0), (4, 2, 4, 0), (4, 1, 3, 7), (2, 1, 0, 4)):
        others = loaded(augmenter(name, images), images, shards, accumulate, workers, start)
        assert others.keys() == {key for key in whole if key[0] >= start}
        assert all(torch.equal(image, whole[key]) for key, image in others.items()), (shards, workers, start)
    twice = [
        (whole[key], whole[later]) for key in whole for later in whole if key[0] < 5 <= later[0] and key[1] == later[1]
    ]
    assert len(twice) == 100  # each sample once in each epoch
    assert sum(torch.equal(first, second) for first, second in twice) == (100 if name == "none" else 0)


def test_a_gpus_formula_cuts_the_same_squares() -> None:
    """The GPU's way, run on the CPU; positions are drawn and rounded on the CPU for both."""
    pixels = samples(40).pixels.contiguous(memory_format=torch.channels_last)
    draws = augmenter("alexnet", samples(40)).draw(1, torch.arange(40))
    assert draws.device.type == "cpu"
    top, left = (draws[:, :2] * torch.tensor([5, 5])).long().unbind(1)
    flips = draws[:, 2] < 0.5
    assert set(top.tolist()) == set(left.tolist()) == {0, 1, 2, 3, 4} and 0 < int(flips.sum()) < 40
    gathered = gathered_squares(pixels, 24, top, left)
    gathered = torch.where(flips[:, None, None, None], gathered.flip(3), gathered)
    assert torch.equal(squares(pixels, 24, top, left, flips), gathered)


@pytest.mark.parametrize("name", SETTINGS)
def test_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as fake tensors show: nothing reads a value back, and devices, shapes and dtypes are right."""
    made = augmenter(name, samples())
    draws = made.draw(0, torch.arange(8))
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)  # needs a driver
    with FakeTensorMode(allow_non_fake_inputs=True):
        pixels = torch.empty(8, 3, 28, 28, dtype=torch.uint8, device="cuda")
        settings = made.settings
        mean = torch.empty(3, 28, 28, device="cuda")
        made.transform = InputTransform.of(settings, 32, torch.bfloat16, mean)
        read, _ = made.read(InMemory(pixels, torch.empty(8, dtype=torch.int64, device="cuda")), torch.arange(8), draws)
        result = made.transform.normalised(made.change(read, draws))
        assert (result.device.type, result.shape, result.dtype) == ("cuda", (8, 3, 32, 32), torch.bfloat16)
        assert result.is_contiguous(memory_format=torch.channels_last)
        if settings.crop:
            views = list(made.transform.views(pixels))
            assert len(views) == 10 and {view.shape for view in views} == {(8, 3, 32, 32)}
