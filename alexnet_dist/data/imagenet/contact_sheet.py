"""A picture of a data set: a row for each class, with some of its images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from alexnet_dist.data.crops import resize
from alexnet_dist.data.dataset import Samples
from alexnet_dist.data.imagenet.random_reads import Numbers

TILE, GAP, CAPTION = 96, 4, 150  # pixels
COLUMNS, MOST_ROWS = 10, 40


def contact_sheet(samples: Samples, labels: Numbers, classes: Sequence[str]) -> Image.Image:
    """At most `MOST_ROWS` classes and `COLUMNS` images of each, evenly spread.

    Args:
        samples: on the CPU.
        labels: of all of them.
        classes: names by label.
    """
    rows = _spread(np.arange(len(classes)), MOST_ROWS)
    step = TILE + GAP
    sheet = Image.new("RGB", (CAPTION + COLUMNS * step, len(rows) * step + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    draw.font = ImageFont.truetype(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 12)  # Pillow's own: ASCII only
    for row, label in enumerate(rows.tolist()):
        numbers, top = np.flatnonzero(labels == label), GAP + row * step
        draw.text((GAP, top), f"{classes[label]}\n{len(numbers):,} images", fill="black")
        for column, tile in enumerate(_tiles(samples, _spread(numbers, COLUMNS))):
            sheet.paste(tile, (CAPTION + column * step, top))
    return sheet


def _tiles(samples: Samples, numbers: Numbers) -> list[Image.Image]:
    if not len(numbers):
        return []
    pixels, _ = samples.batch(torch.from_numpy(numbers))
    small = resize(pixels, TILE, TILE)
    return [Image.fromarray(tile) for tile in small.permute(0, 2, 3, 1).numpy()]


def _spread(values: Numbers, most: int) -> Numbers:
    """At most `most` of the values, evenly spread."""
    count = min(most, len(values))
    return values[np.arange(count) * len(values) // max(1, count)]
