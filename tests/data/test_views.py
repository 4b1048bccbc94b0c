"""Centre crop and the ten views, each by name."""

import pytest
import torch
from torchvision.transforms import functional, v2

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, warnings
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.crops import PLACES
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.errors import UsageError

CORNERS = {"top left": (0, 0), "top right": (0, 12), "bottom left": (12, 0), "bottom right": (12, 12), "centre": (6, 6)}


def pixels(side: int = 44) -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mean_image", [False, True])
def test_ten_views_by_name(mean_image: bool) -> None:
    images, mean = pixels(), pixels().float().mean(0)
    data = DataConfig(crop=32, normalise="mean_image" if mean_image else "none")
    transform = InputTransform.of(data, 32, torch.float32, mean)
    views = list(transform.views(images))
    names = [f"{place}{mirror}" for place in PLACES for mirror in ("", ", mirrored")]
    assert set(PLACES) == set(CORNERS) and len(views) == len(names) == 10
    for name, view in zip(names, views, strict=True):
        top, left = CORNERS[name.removesuffix(", mirrored")]
        expected = images[:, :, top : top + 32, left : left + 32].float()
        if name.endswith("mirrored"):
            expected = expected.flip(3)
        expected = expected - mean[:, 6:38, 6:38] if mean_image else expected / 255
        assert torch.equal(view, expected), name
    assert torch.equal(transform(images), views[8])  # in evaluation without views, the centre


def test_the_same_squares_as_torchvisions_ten_crop() -> None:
    images = pixels(45)  # an odd rest
    ours = [(view * 255).round().to(torch.uint8) for view in InputTransform(32, torch.float32, crop=32).views(images)]
    theirs = functional.ten_crop(images, 32)  # four corners and the centre, then those of the mirror image
    for number, square in enumerate(theirs):
        if number != 9:  # the mirror image's centre lies a pixel beside, where the rest is odd
            assert sum(torch.equal(square, view) for view in ours) == 1, number


def test_centre_crop_and_resize_as_torchvision() -> None:
    theirs = v2.Compose([v2.CenterCrop(32), v2.Resize(48, antialias=True)])
    assert torch.equal(InputTransform(48, torch.float32, crop=32).framed(pixels()), theirs(pixels()))


def test_views_without_a_crop_are_refused_and_without_evaluation_told() -> None:
    with pytest.raises(UsageError, match=r"train.evaluate_views: 10: needs data.crop"):
        resolve(load(["--train.evaluate_views=10"]), 1)
    unevaluated = ["--train.evaluate_views=10", "--data.crop=24", "--train.evaluate=false"]
    assert warnings(resolve(load(unevaluated), 1)) == ["train.evaluate_views has no effect with train.evaluate false"]
