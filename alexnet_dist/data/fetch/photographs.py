"""255 colour photographs in seven classes, from Debian's package `gcompris-qt-data`.

They are WebP of 320 to 1,920 pixels, in the .rcc files of a game for children. The package's
copyright file, which is kept beside them, gives the licence of each: mostly CC-BY, CC-BY-SA or public domain.
"""

from collections.abc import Iterator
from pathlib import Path

from alexnet_dist.data.fetch.debian import folder_from_packages
from alexnet_dist.data.fetch.rcc import resource_files

PACKAGE = "gcompris-qt-data"
USUAL_PLACE = "~/Datasets/photographs"
# Class by folder of the resources, below the activity that uses them.
CLASSES = {
    "erase": "animals",
    "explore_farm_animals/animals": "animals",
    "explore_world_animals/animals": "animals",
    "explore_monuments": "monuments",
    "categorization/images/monuments": "monuments",
    "categorization/images/tools": "tools",
    "categorization/images/renewable": "energy",
    "categorization/images/fishes": "fish",
    "categorization/images/others": "household",
    "explore_world_music/music": "music",
}


def fetch(root: str | None) -> Path:
    """Make sure that the photographs are there.

    Args:
        root: the folder; None takes the usual one.

    Returns:
        The folder: class folders, and COPYRIGHT, which is written last.

    Raises:
        UsageError: they could not be had or written.
    """
    failure = f"the photographs of Debian's package {PACKAGE} could not be fetched"
    return folder_from_packages(root, USUAL_PLACE, [PACKAGE], _fill, failure)


def _fill(share: Path, folder: Path) -> None:
    for resources in sorted((share / "gcompris-qt/rcc").glob("*.rcc")):
        for path, contents in photographs(resources):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents)


def photographs(resources: Path) -> Iterator[tuple[str, bytes]]:
    """The photographs in one .rcc file: CLASS/ACTIVITY/NAME.webp, and the contents."""
    activity = resources.stem
    if activity not in {name.split("/")[0] for name in CLASSES}:
        return
    for path, contents in resource_files(resources.read_bytes()):
        inside = path.partition("/resource/")[2]
        for name, label in CLASSES.items():
            folder = f"{name}/"
            if f"{activity}/{inside}".startswith(folder) and path.endswith(".webp"):
                yield f"{label}/{activity}/{f'{activity}/{inside}'.removeprefix(folder)}", contents
