"""Finds the parts of a data set in the layouts in which people have image files, below one folder.

Training images are in `train`, `ILSVRC2012_img_train` or Kaggle's `ILSVRC/Data/CLS-LOC/train`, with a folder or a .tar
for each class, or in `ILSVRC2012_img_train.tar`, the .tar of .tars, as downloaded. Test images are in `val` or the
like, by class or all together, or in `ILSVRC2012_img_val.tar`. A folder without such parts, which has a folder for each
class itself, is split by the images' names; see `is_test`.
"""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePath

from alexnet_dist.data.imagenet.archives import ARCHIVE, members
from alexnet_dist.data.imagenet.index import check_finished
from alexnet_dist.errors import UsageError

KAGGLE = "ILSVRC/Data/CLS-LOC"
TRAIN = ("train", "ILSVRC2012_img_train", f"{KAGGLE}/train", "ILSVRC2012_img_train.tar")
TEST = ("val", "validation", "test", "ILSVRC2012_img_val", f"{KAGGLE}/val", "ILSVRC2012_img_val.tar")
KNOWN = "it needs a folder for each class, there or in train and val; or ILSVRC2012_img_train.tar and _val.tar"
TEST_ONE_IN = 10


@dataclass(frozen=True)
class SourceLayout:
    """Where the parts are.

    Attributes:
        root: the data set's folder.
        train, test: each a folder or an archive; both are `root` where that is split.
    """

    root: Path
    train: Path
    test: Path

    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted: labels are their places. Of a .tar of .tars the headers are read.

        Raises:
            UsageError: there are fewer than two.
        """
        found = class_names(self.train)
        if len(found) < 2:
            raise UsageError("data.root", self.train, f"has {len(found)} classes: {KNOWN}")
        return found


def find_layout(root: Path) -> SourceLayout:
    """Find the layout of a folder of images.

    Raises:
        UsageError: there is none, or one that is being prepared.
    """
    if not root.is_dir():
        raise UsageError("data.root", root, f"no such folder: {KNOWN}")
    check_finished(root)
    train, test = (next((root / name for name in names if (root / name).exists()), None) for names in (TRAIN, TEST))
    if train is None:
        return SourceLayout(root, root, root)
    if test is None:
        raise UsageError("data.root", root, f"has {train.name} but no test images: put them into {root / 'val'}")
    return SourceLayout(root, train, test)


def class_names(part: Path) -> tuple[str, ...]:
    """The classes that a part has a folder, or an archive, for.

    Raises:
        UsageError: a name is not in UTF-8; records and messages could not hold it.
    """
    if part.is_dir():
        with os.scandir(part) as entries:
            names = [entry.name for entry in entries if entry.is_dir() or entry.name.endswith(ARCHIVE)]
    else:
        names = [member.name for member in members(part) if member.name.endswith(ARCHIVE)]
    names = [name for name in names if not name.startswith(".")]
    for name in names:
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            raise UsageError("data.root", part / name, "is a class's name, and not in UTF-8: rename it")
    return tuple(sorted({name.removesuffix(ARCHIVE) for name in names}))


def is_test(name: str) -> bool:
    """Whether an image of a folder that is split belongs to the test part: one in ten does, by a checksum of its name.

    The name is taken without folders, suffix and case: images of one name are in one part.
    """
    return zlib.crc32(PurePath(name).stem.lower().encode(errors="surrogateescape")) % TEST_ONE_IN == 0
