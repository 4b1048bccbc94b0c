"""255 colour photographs in seven classes, from Debian's package `gcompris-qt-data`.

They are WebP of 320 to 1,920 pixels, in the .rcc files of a game for children. The package's
copyright file, which is kept beside them, gives the licence of each: mostly CC-BY, CC-BY-SA or public domain.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from alexnet_dist.data.fetch.debian import unpack
from alexnet_dist.data.fetch.rcc import Resources
from alexnet_dist.errors import UsageError
from alexnet_dist.temporary import temporary_folder

PACKAGE = "gcompris-qt-data"
USUAL_PLACE = "~/Datasets/photographs"
LICENCES = "COPYRIGHT"
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
    try:
        folder = Path(root or USUAL_PLACE).expanduser()
        if (folder / LICENCES).is_file():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"), temporary_folder(within=folder) as work:
            if not (folder / LICENCES).is_file():  # else another process was faster
                unpack(PACKAGE, work)
                _copy(work / "usr/share", folder)
        return folder
    except PermissionError as error:
        raise UsageError("--root", root or USUAL_PLACE, f"cannot be written ({error.strerror})") from None
    except (OSError, ValueError, RuntimeError) as error:
        remedy = f"the photographs of Debian's package {PACKAGE} could not be fetched ({error})"
        raise UsageError("--root", root or USUAL_PLACE, remedy) from None


def _copy(share: Path, folder: Path) -> None:
    for resources in sorted((share / "gcompris-qt/rcc").glob("*.rcc")):
        for path, contents in photographs(resources):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents)
    shutil.copyfile(share / "doc" / PACKAGE / "copyright", folder / f"{LICENCES}.part")
    (folder / f"{LICENCES}.part").replace(folder / LICENCES)


def photographs(resources: Path) -> Iterator[tuple[str, bytes]]:
    """The photographs in one .rcc file: CLASS/ACTIVITY/NAME.webp, and the contents."""
    activity = resources.stem
    if activity not in {name.split("/")[0] for name in CLASSES}:
        return
    for path, contents in Resources(resources.read_bytes()).files():
        inside = path.partition("/resource/")[2]
        for name, label in CLASSES.items():
            folder = f"{name}/"
            if f"{activity}/{inside}".startswith(folder) and path.endswith(".webp"):
                yield f"{label}/{activity}/{f'{activity}/{inside}'.removeprefix(folder)}", contents
