"""The picture of the first layer, and the measure of its colour."""

import pytest
import torch

from alexnet_dist.nets.filters import COLUMNS, GAP, SCALE, TOWER_GAP, colour_shares, picture


def test_the_colour_of_known_kernels() -> None:
    grey, blue, opposed, empty = torch.ones(3, 2, 2), torch.zeros(3, 2, 2), torch.zeros(3, 2, 2), torch.zeros(3, 2, 2)
    blue[2] = 0.5
    opposed[0], opposed[1] = 1.0, -1.0
    # Of one channel alone, a third is grey: (1/3)^2 * 3 = 1/3.
    assert colour_shares(torch.stack([grey, blue, opposed, empty])).tolist() == pytest.approx([0.0, 2 / 3, 1.0, 0.0])


def test_colour_depends_neither_on_size_nor_on_order_of_channels() -> None:
    kernels = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(colour_shares(kernels), colour_shares(-7 * kernels[:, [2, 0, 1]]))
    # Independent channels lie on the grey axis with one of their three dimensions.
    many = torch.randn(200, 3, 11, 11, generator=torch.Generator().manual_seed(1))
    assert float(colour_shares(many).mean()) == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_tower_has_rows_of_its_own_and_each_kernel_its_place(channels: int) -> None:
    kernels = torch.zeros(2 * 18, channels, 2, 2)
    kernels[17, :, 1, 0] = 3.0  # the second row of the first tower
    kernels[18, :, 0, 1] = -2.0  # the first kernel of the second
    image = picture(kernels, towers=2)
    step = 2 * SCALE + GAP
    assert image.size == (COLUMNS * step + GAP, 4 * step + TOWER_GAP + GAP)
    second, third = (GAP + step, GAP + step), (GAP, GAP + 2 * step + TOWER_GAP)
    assert image.getpixel((second[0], second[1] + SCALE)) == (255, 255, 255)
    assert image.getpixel((third[0] + SCALE, third[1])) == (0, 0, 0)
    assert image.getpixel(second) == (128, 128, 128)
    assert picture(kernels[:6], towers=2).width == 3 * step + GAP  # no wider than the kernels of a tower
