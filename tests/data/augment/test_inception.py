"""The modern augmentation against torchvision's, with the same boxes and factors; the boxes against its rule."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.augment.inception import InceptionAugmenter, random_boxes
from alexnet_dist.data.crops import resample, resized_boxes
from alexnet_dist.data.dataset import Boxes, InMemory, LargeSamples
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.rng import Rng

EPOCH = 2
IMAGENET = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]


def images(count: int, channels: int = 3) -> InMemory:
    noise = torch.randint(0, 256, (count, channels, 12, 12), generator=torch.Generator().manual_seed(0))
    pixels = torch.nn.functional.interpolate(noise.float(), (60, 60), mode="bicubic").clamp(0, 255).to(torch.uint8)
    return InMemory(pixels.contiguous(memory_format=torch.channels_last), torch.arange(count))


def augmenter(size: int, **settings: Any) -> InceptionAugmenter:
    data = DataConfig(augment="inception", **settings)
    return InceptionAugmenter(data, InputTransform.of(data, size, torch.float32), Rng(0), None)


def boxes_of(draws: Tensor, sizes: Tensor, min_area: float = 0.08) -> list[list[int]]:
    return random_boxes(sizes, draws[:, :40].view(-1, 10, 4), min_area).tolist()


def test_against_torchvision() -> None:
    samples, ids = images(60), torch.randperm(60, generator=torch.Generator().manual_seed(1))
    ours = augmenter(32, normalise=IMAGENET)
    made, labels = ours(samples, EPOCH, ids)
    draws, theirs = ours.draw(EPOCH, ids), []
    for row, (top, left, height, width) in enumerate(boxes_of(draws, torch.full((60, 2), 60))):
        image = functional.resized_crop(samples.pixels[ids[row]], top, left, height, width, [32, 32], antialias=True)
        image = functional.horizontal_flip(image) if draws[row, 40] < 0.5 else image
        image = functional.to_dtype(image, torch.float32, scale=True)
        for change, factor in zip(
            (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation),
            draws[row, 41:].tolist(),
            strict=True,
        ):
            image = change(image, factor)
        theirs.append(functional.normalize(image, *IMAGENET))
    torch.testing.assert_close(made, torch.stack(theirs), rtol=1e-5, atol=2e-5)
    assert torch.equal(labels, ids) and made.is_contiguous(memory_format=torch.channels_last)
    assert 20 < int((draws[:, 40] < 0.5).sum()) < 40
    assert bool(((draws[:, 41:] >= 0.6) & (draws[:, 41:] < 1.4)).all()) and float(draws[:, 41:].std()) > 0.2


def test_without_jitter_pixels_equal_torchvisions_to_the_last_count() -> None:
    samples, ids = images(40), torch.arange(40)
    ours = augmenter(32, colour_jitter=0.0)
    draws = ours.draw(EPOCH, ids)
    pixels, _ = ours.read(samples, ids, draws)
    for row, (top, left, height, width) in enumerate(boxes_of(draws, torch.full((40, 2), 60))):
        theirs = functional.resized_crop(samples.pixels[row], top, left, height, width, [32, 32], antialias=True)
        assert torch.equal(pixels[row], theirs)


def box_by_hand(height: int, width: int, tries: list[list[float]]) -> list[int]:
    """torchvision's rule for a box, in plain Python."""
    for area_share, shape_share, down, across in tries:
        area = height * width * (0.08 + 0.92 * area_share)
        shape = math.exp(math.log(3 / 4) + shape_share * (math.log(4 / 3) - math.log(3 / 4)))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            return [math.floor(down * (height - h + 1)), math.floor(across * (width - w + 1)), h, w]
    w, h = width, height
    if width / height < 3 / 4:
        h = round(w / (3 / 4))
    elif width / height > 4 / 3:
        w = round(h * (4 / 3))
    return [(height - h) // 2, (width - w) // 2, h, w]


def test_boxes_against_the_rule_in_plain_python() -> None:
    sizes = torch.tensor([(60, 60), (500, 375), (375, 500), (100, 900), (3, 40), (1, 1), (1000, 999)] * 40)
    draws = Rng(1).fractions("boxes", 0, torch.arange(len(sizes)), 40).view(-1, 10, 4)
    ours = random_boxes(sizes, draws, 0.08).tolist()
    shapes = zip(sizes.tolist(), draws.tolist(), strict=True)
    assert ours == [box_by_hand(height, width, tries) for (height, width), tries in shapes]
    assert len({tuple(box) for box in ours}) > 150


def test_boxes_are_distributed_as_torchvisions() -> None:
    """Mean of area, shape and place over many draws of its own code and of ours."""
    count = 4000
    draws = Rng(1).fractions("boxes", 0, torch.arange(count), 40).view(-1, 10, 4)
    ours = random_boxes(torch.tensor([[200, 300]]).expand(count, 2), draws, 0.08)
    torch.manual_seed(0)
    cut, image = v2.RandomResizedCrop(8, antialias=True), torch.empty(3, 200, 300)
    params = [cut.make_params([image]) for _ in range(count)]
    theirs = torch.tensor([[p[name] for name in ("top", "left", "height", "width")] for p in params])
    error = (ours.double().var(0) / count + theirs.double().var(0) / count).sqrt()
    assert bool(((ours.double().mean(0) - theirs.double().mean(0)).abs() < 4 * error).all())
    assert torch.allclose(ours.double().std(0), theirs.double().std(0), rtol=0.06)


@pytest.mark.parametrize("size", [16, 32, 96])
def test_the_product_of_matrices_is_the_same_filter(size: int) -> None:
    """What a GPU computes, here on the CPU."""
    samples = images(30)
    draws = Rng(2).fractions("boxes", 0, torch.arange(30), 40)
    boxes = torch.tensor(boxes_of(draws, torch.full((30, 2), 60)))
    exact = resample(samples.pixels.double(), boxes, size)
    for row, (top, left, height, width) in enumerate(boxes.tolist()):
        part = samples.pixels[row : row + 1, :, top : top + height, left : left + width].double()
        theirs = torch.nn.functional.interpolate(part, (size, size), mode="bilinear", antialias=True)
        torch.testing.assert_close(exact[row : row + 1], theirs, rtol=1e-9, atol=1e-9)
    on_a_cpu = resized_boxes(samples.pixels, boxes, size)
    assert int((exact.round() - on_a_cpu).abs().max()) <= 1


def test_parts_come_from_the_stored_image() -> None:
    """A set whose images are larger than its batches is asked for the parts themselves."""
    samples, asked = images(20), []

    class Large(LargeSamples):
        def __len__(self) -> int:
            return 20

        def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
            raise AssertionError("has lost the edges")

        def cropped(self, ids: Tensor, boxes: Boxes, size: int) -> tuple[Tensor, Tensor]:
            asked.append(boxes(range(len(ids)), torch.full((len(ids), 2), 60)))
            return resized_boxes(samples.pixels[ids], asked[-1], size), ids

    ids = torch.arange(5, 15)
    ours = augmenter(24)
    made = ours(Large(), EPOCH, ids)[0]
    assert torch.equal(made, ours(samples, EPOCH, ids)[0])
    assert asked[0].tolist() == boxes_of(ours.draw(EPOCH, ids), torch.full((10, 2), 60))


def test_grey_images_and_min_area() -> None:
    samples, ids = images(30, channels=1), torch.arange(30)
    made = augmenter(28, min_area=0.5)(samples, EPOCH, ids)[0]
    assert made.shape == (30, 1, 28, 28) and 0 <= float(made.min()) < float(made.max()) <= 1
    boxes = boxes_of(augmenter(28).draw(EPOCH, ids), torch.full((30, 2), 60), min_area=0.5)
    assert min(height * width for _, _, height, width in boxes) > 0.48 * 3600
    assert augmenter(28)(samples, EPOCH, ids[:0])[0].shape == (0, 1, 28, 28)
