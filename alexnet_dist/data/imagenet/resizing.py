"""What a batch has of an image file: all of the image at one size, or a part of it, resized."""

import numpy as np
import torch

from alexnet_dist.data.crops import middle, resize
from alexnet_dist.data.imagenet.decode import Encoded, Pixels

# Whole images of more pixels are decoded at a fraction of their size, which bounds memory.
LARGE_PIXELS = 1 << 24


def whole(image: Encoded, size: int) -> Pixels:
    """The shorter side resized to `size`, then the central square: as in 2012, and as torchvision's `Resize` and
    `CenterCrop` do.

    Returns:
        (size, size, 3).

    Raises:
        Unreadable: see `Encoded.pixels`.
    """
    large = image.height * image.width > LARGE_PIXELS
    pixels = image.pixels((2 * size, 2 * size) if large else (0, 0))
    pixels = pixels[middle(*pixels.shape[:2])]
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    pixels = resized(pixels, height * size // shorter, width * size // shorter)
    top, left = (round((side - size) / 2) for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]


def part(image: Encoded, box: tuple[int, int, int, int], size: int) -> Pixels:
    """A part of an image at a size.

    Where the part has at least twice as many rows and columns as are wanted, a JPEG is decoded at a fraction of its
    size; see `Encoded.pixels`.

    Args:
        box: top, left, height and width.

    Returns:
        (size, size, 3).

    Raises:
        Unreadable: see `Encoded.pixels`.
    """
    top, left, height, width = box
    least = -(-image.height * size // height), -(-image.width * size // width)
    pixels = image.pixels(least)
    if pixels.shape[:2] != (image.height, image.width):
        down, across = pixels.shape[0] / image.height, pixels.shape[1] / image.width
        top, height = round(top * down), max(1, round(height * down))
        left, width = round(left * across), max(1, round(width * across))
    return resized(pixels[top : top + height, left : left + width], size, size)


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).unsqueeze(0)
    array: Pixels = resize(image, height, width)[0].permute(1, 2, 0).numpy()
    return array
