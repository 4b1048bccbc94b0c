"""The first layer's kernels, tower by tower: a picture, and how much of them is colour.

After Figure 3 of Krizhevsky, Sutskever and Hinton 2012, whose two towers came to divide colour and form between them.
"""

import torch
from PIL import Image
from torch import Tensor

COLUMNS = 16  # kernels in a row at most, as in the paper
SCALE, GAP, TOWER_GAP = 6, 4, 16  # pixels


def colour_shares(kernels: Tensor) -> Tensor:
    """The share of each kernel's energy that lies off the grey axis.

    |k - g|^2 / |k|^2, where g has the mean of k's channels in each of them: 0 for a kernel that sees only grey, 1 for
    one that does not respond to grey images.

    Args:
        kernels: (kernels, 3, height, width).

    Returns:
        fp64 (kernels,); 0 where a kernel is all zero.
    """
    kernels = kernels.double()
    energy = kernels.square().sum((1, 2, 3))
    off_grey = (kernels - kernels.mean(1, keepdim=True)).square().sum((1, 2, 3))
    return torch.where(energy > 0, off_grey / energy, 0.0)


def colour_by_tower(kernels: Tensor, towers: int) -> list[tuple[float, float]]:
    """Mean and standard deviation of the colour shares of each tower's kernels."""
    shares = [colour_shares(part) for part in kernels.chunk(towers)]
    return [(float(part.mean()), float(part.std())) for part in shares]


def picture(kernels: Tensor, towers: int) -> Image.Image:
    """The kernels of each tower as a block of rows, each kernel scaled to its own largest weight; grey is zero.

    Args:
        kernels: (kernels, 1 or 3, height, width), towers one after the other.
    """
    height, width = (length * SCALE + GAP for length in kernels.shape[-2:])
    blocks = kernels.chunk(towers)
    columns = min(COLUMNS, len(blocks[0]))
    rows = -(-len(blocks[0]) // columns)
    block_height = rows * height + TOWER_GAP
    sheet = Image.new("RGB", (columns * width + GAP, towers * block_height - TOWER_GAP + GAP), "white")
    for tower, block in enumerate(blocks):
        for number, kernel in enumerate(block):
            row, column = divmod(number, columns)
            sheet.paste(_tile(kernel), (GAP + column * width, GAP + tower * block_height + row * height))
    return sheet


def _tile(kernel: Tensor) -> Image.Image:
    largest = kernel.abs().max().clamp(min=torch.finfo(kernel.dtype).tiny)
    pixels = (kernel / largest * 127.5 + 127.5).round().to(torch.uint8).expand(3, -1, -1)
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    return image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST)
