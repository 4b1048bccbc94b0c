"""Both timed sides make inputs of the same kind from the same images."""

import pytest
import torch

from alexnet_dist.bench.augmentation import CASES, SIZE, images_of_noise, measure_augmentation, ours, theirs


@pytest.mark.parametrize("name", CASES)
def test_both_sides_make_inputs_of_one_kind(name: str) -> None:
    """Over that many images the colours' means and deviations agree; a missing operation would change them."""
    images = images_of_noise(64)
    torch.manual_seed(0)
    mine, others = ours(images, CASES[name])(), theirs(images, CASES[name])()
    assert mine.shape == others.shape == (64, 3, SIZE, SIZE) and mine.dtype == others.dtype == torch.float32
    scale = 255 * 0.22 if CASES[name].augment == "alexnet" else 1
    torch.testing.assert_close(mine.mean((0, 2, 3)), others.mean((0, 2, 3)), rtol=0, atol=0.25 * scale)
    torch.testing.assert_close(mine.std((0, 2, 3)), others.std((0, 2, 3)), rtol=0.2, atol=0)
    assert not torch.equal(theirs(images, CASES[name])(), others)


def test_each_round_has_a_ratio() -> None:
    measured = measure_augmentation(4, 2, 1)
    assert list(measured) == list(CASES)
    for times in measured.values():
        assert len(times.ratios) == 2 and min(*times.ours, *times.theirs) > 0
        assert times.ratios == pytest.approx([b / a for a, b in zip(times.ours, times.theirs, strict=True)])
