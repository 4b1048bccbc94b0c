"""Whole-batch resizing against torchvision's and PIL's, image by image, on real images."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import transforms

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.sets.fashion_mnist import read_fashion_mnist
from alexnet_dist.data.transforms import InputTransform


@pytest.mark.parametrize("size", [224, 32])
def test_equals_pil_to_the_last_count(fashion_mnist: Path, size: int) -> None:
    pixels = read_fashion_mnist(str(fashion_mnist))["t10k"][0][:200]
    usual = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])
    theirs = torch.stack([usual(Image.fromarray(image[0].numpy())) for image in pixels])
    ours = InputTransform(size, torch.float32)(pixels)
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_an_empty_batch() -> None:
    assert InputTransform(224, torch.float64)(torch.empty(0, 1, 28, 28, dtype=torch.uint8)).shape == (0, 1, 224, 224)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_what_autocast_would_make_of_fp32(dtype: torch.dtype) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(InputTransform(16, dtype)(pixels), InputTransform(16, torch.float32)(pixels).to(dtype))


def test_normalised_as_torchvision_does() -> None:
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = resolve(load(["--data.name", "synthetic", "--net.channels", "3", "--data.normalise", "imagenet"]), 1).data
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    assert data.normalise == [mean, deviation]
    theirs = transforms.Normalize(mean, deviation)(pixels / 255)
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(InputTransform.of(data, 32, dtype)(pixels), theirs.to(dtype))
    plain = InputTransform.of(DataConfig(), 32, torch.float32)(pixels)
    assert torch.equal(plain, InputTransform(32, torch.float32)(pixels))
