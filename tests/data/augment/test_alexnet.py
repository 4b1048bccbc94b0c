"""The augmentation of 2012 against a plain numpy implementation, image by image; its noise's statistics."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.augment.alexnet import AlexNetAugmenter, principal_components
from alexnet_dist.data.dataset import InMemory
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.errors import UsageError
from alexnet_dist.rng import Rng

SEED, EPOCH = 3, 5


def images(count: int, channels: int, size: int) -> InMemory:
    """Images with correlated channels, as photographs have."""
    generator = torch.Generator().manual_seed(0)
    light = torch.randint(0, 200, (count, 1, size, size), generator=generator)
    colour = torch.randint(0, 56, (count, channels, size, size), generator=generator)
    pixels = (light + colour).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    return InMemory(pixels, torch.arange(count))


def augmenter(samples: InMemory, size: int, dtype: torch.dtype = torch.float32, **settings: Any) -> AlexNetAugmenter:
    data, statistics = DataConfig(augment="alexnet", **settings), samples.statistics()
    transform = InputTransform.of(data, size, dtype, statistics.mean_image)
    return AlexNetAugmenter(data, transform, Rng(SEED), statistics)


def in_numpy(samples: InMemory, ids: Tensor, size: int, padding: int, noise: float) -> np.ndarray:
    """Mean image subtracted, in float64; image by image, as section 4.1 describes it."""
    pixels = samples.pixels.numpy().astype(np.float64)
    channels = pixels.shape[1]
    mean = pixels.mean(0)
    covariance = np.cov(pixels.transpose(1, 0, 2, 3).reshape(channels, -1), ddof=0).reshape(channels, channels)
    variances, vectors = np.linalg.eigh(covariance)
    result = []
    for number in ids.tolist():
        one = torch.tensor([number])
        down, across, mirror = Rng(SEED).fractions("crop", EPOCH, one, 3)[0].tolist()
        uniform = Rng(SEED).fractions("colour noise", EPOCH, one, 2 * channels)[0].tolist()
        image = np.pad(pixels[number], ((0, 0), (padding, padding), (padding, padding)))
        free = image.shape[1] - size + 1
        top, left = math.floor(down * free), math.floor(across * free)
        image = image[:, top : top + size, left : left + size]
        if mirror < 0.5:
            image = image[:, :, ::-1]
        for i in range(channels):
            vector = vectors[:, i] * np.sign(vectors[np.abs(vectors[:, i]).argmax(), i])
            gauss = math.sqrt(-2 * math.log(1 - uniform[2 * i])) * math.cos(2 * math.pi * uniform[2 * i + 1])
            image = image + (vector * math.sqrt(variances[i]) * gauss * noise)[:, None, None]
        edge = (mean.shape[1] - size) // 2
        result.append(image - mean[:, edge : edge + size, edge : edge + size])
    return np.stack(result)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("padding", [0, 4])
def test_against_numpy(channels: int, padding: int) -> None:
    samples, ids = images(50, channels, 40), torch.randperm(50, generator=torch.Generator().manual_seed(1))
    ours = augmenter(samples, 32, crop=32, crop_padding=padding, normalise="mean_image", colour_noise=0.1)
    made, labels = ours(samples, EPOCH, ids)
    theirs = in_numpy(samples, ids, 32, padding, 0.1)
    np.testing.assert_allclose(made.numpy(), theirs, rtol=1e-5, atol=1e-3)
    assert torch.equal(labels, ids) and made.is_contiguous(memory_format=torch.channels_last)
    half = augmenter(samples, 32, torch.bfloat16, crop=32, crop_padding=padding, normalise="mean_image")
    assert torch.equal(half(samples, EPOCH, ids)[0], made.to(torch.bfloat16))  # rounded once


def test_a_sample_is_changed_alike_whatever_batch_it_is_in() -> None:
    samples, ids = images(50, 3, 40), torch.arange(50)
    ours = augmenter(samples, 32, crop=32)
    whole = ours(samples, EPOCH, ids)[0]
    for some in ids.flip(0).split(7):
        assert torch.equal(ours(samples, EPOCH, some)[0], whole[some])
    assert not torch.equal(ours(samples, EPOCH + 1, ids)[0], whole)
    assert ours(samples, EPOCH, ids[:0])[0].shape == (0, 3, 32, 32)


def test_every_place_is_as_likely_and_half_is_mirrored() -> None:
    """Images whose pixel values encode their positions."""
    row, column = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    samples = InMemory(torch.stack([row, column]).to(torch.uint8).expand(20_000, 2, 12, 12), torch.zeros(20_000))
    made = augmenter(samples, 8, crop=8, colour_noise=0.0)(samples, 0, torch.arange(20_000))[0] * 255
    corner, across = made[:, :, 0, 0].round().long(), made[:, 1, 0, 7].round().long()
    mirrored = corner[:, 1] > across
    places = corner[:, 0] * 5 + torch.minimum(corner[:, 1], across)
    counts = torch.bincount(places, minlength=25)
    assert len(counts) == 25  # 0 to 4, down and across
    assert float(((counts - 800) ** 2 / 800).sum()) < 51.2  # chi-squared with 24 degrees of freedom: p = 0.001
    assert abs(float(mirrored.double().mean()) - 0.5) < 3.3 * 0.5 / 20_000**0.5


def test_noise_has_the_colours_covariance() -> None:
    samples, count = images(20, 3, 16), 40_000
    draws = augmenter(samples, 16, colour_noise=0.1).draw(EPOCH, torch.arange(count))
    covariance = samples.statistics().covariance
    noise = draws[:, 3:] @ principal_components(covariance).T
    assert bool((noise.mean(0).abs() < 4 * noise.std(0) / count**0.5).all())
    torch.testing.assert_close(noise.T.cov(), 0.01 * covariance, rtol=0.05, atol=0.03 * 0.01 * float(covariance.max()))
    alpha = draws[:, 3:] / 0.1
    torch.testing.assert_close(alpha.T.cov(), torch.eye(3, dtype=torch.float64), rtol=0, atol=0.03)
    assert float((alpha.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.006)
    assert float((alpha.abs() > 3).double().mean()) == pytest.approx(0.0027, abs=0.0008)


def test_components_of_the_paper() -> None:
    """Orthogonal, with the standard deviations along them as lengths."""
    deviations = torch.tensor([19.72, 37.09, 121.78], dtype=torch.float64)  # ImageNet's, CC2 make-data/input_meta
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))[0]
    found = principal_components(turn @ torch.diag(deviations**2) @ turn.T)
    torch.testing.assert_close(found.norm(dim=0), deviations)
    torch.testing.assert_close((found / deviations * (turn * deviations.sign())).sum(0).abs(), torch.ones(3).double())


def test_a_crop_larger_than_the_images_is_refused() -> None:
    samples = images(4, 3, 40)
    with pytest.raises(UsageError, match=r"crop: 41: .* 40 x 40 pixels: choose at most 40; .* is then resized"):
        augmenter(samples, 32, crop=41)(samples, 0, torch.arange(4))


def test_a_data_sets_own_images_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where `batch` gives them as they lie there, and squares take all of them."""
    samples = images(8, 3, 32)
    before, ids = samples.pixels.clone(), torch.arange(8)
    monkeypatch.setattr(InMemory, "batch", lambda own, ids: (own.pixels, own.labels))
    changed, _ = augmenter(samples, 32, colour_noise=0.0)(samples, 0, ids)
    assert torch.equal(samples.pixels, before)
    assert not torch.equal(changed, augmenter(samples, 32, colour_noise=0.0)(samples, 1, ids)[0])  # some are mirrored
