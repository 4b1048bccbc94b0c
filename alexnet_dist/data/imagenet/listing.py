"""Lists the images of a data set: samples are numbered class by class, in the sorted order of their names."""

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from alexnet_dist.data.imagenet.archives import ARCHIVE, Member, members
from alexnet_dist.data.imagenet.index import INDEX
from alexnet_dist.data.imagenet.layouts import SourceLayout, class_names, is_test
from alexnet_dist.data.imagenet.sources import Files, Members, Source
from alexnet_dist.data.imagenet.validation_labels import validation_labels
from alexnet_dist.errors import UsageError

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class Listing:
    """All images of a data set.

    Attributes:
        classes: names in the order of labels.
    """

    classes: tuple[str, ...]
    train: Source
    test: Source


def list_images(layout: SourceLayout) -> Listing:
    """List the images of both parts, with their labels.

    Raises:
        UsageError: a class or a part has no images, labels are missing, or an archive or a folder cannot be read.
    """
    classes = layout.classes()
    train = _by_class(layout.root, layout.train, classes)
    if layout.test == layout.train:
        return Listing(classes, train.source(lambda name: not is_test(name)), train.source(is_test))
    return Listing(classes, train.source(), _test_part(layout.root, layout.test, classes).source())


@dataclass
class _Found:
    """Images of one part, as they are found.

    Attributes:
        root: the data set's folder.
        part: a folder or an archive.
        places: of members of `archives`, three numbers each: which archive, offset, length.
    """

    root: Path
    part: Path
    names: list[str] = field(default_factory=list)
    labels: "array[int]" = field(default_factory=lambda: array("q"))
    archives: list[Path] = field(default_factory=list)
    places: "array[int]" = field(default_factory=lambda: array("q"))

    def add_folder(self, folder: Path, label: int) -> None:
        names = sorted(_images(self.root, folder))
        if not names and folder.is_dir():
            remedy = "move it away, or name another folder"
            if (folder / INDEX).exists():
                remedy = "it is prepared data: set data.root to it"
            raise UsageError("data.root", folder, f"has no images, and each folder there is a class: {remedy}")
        self.names += names
        self.labels.extend([label] * len(names))

    def add_archive(self, path: Path, contents: Iterable[Member], prefix: str, label: int) -> None:
        if path not in self.archives:
            self.archives.append(path)
        number = self.archives.index(path)
        images = sorted((member for member in contents if _is_image(member.name)), key=lambda member: member.name)
        for member in images:
            self.names.append(prefix + member.name)
            self.places.extend((number, member.offset, member.length))
        self.labels.extend([label] * len(images))

    def source(self, keep: Callable[[str], bool] = lambda name: True) -> Source:
        """Those whose name is kept."""
        kept = np.fromiter(map(keep, self.names), bool, len(self.names))
        if not kept.any():
            raise UsageError("data.root", self.part, "has no images for one of the two parts, training and test")
        names = [name for name, wanted in zip(self.names, kept, strict=True) if wanted]
        labels, places = np.asarray(self.labels)[kept], np.asarray(self.places).reshape(-1, 3)
        if not self.archives:
            return Files(self.root, names, labels)
        if len(places) != len(kept):
            raise UsageError("data.root", self.part, "has classes in folders and others in archives: unpack these")
        return Members(self.archives, places[kept], names, labels)


def _by_class(root: Path, part: Path, classes: Sequence[str]) -> _Found:
    """Images of a part with a folder, or an archive, for each class."""
    found = _Found(root, part)
    inner = {} if part.is_dir() else {PurePath(member.name).stem: member for member in members(part)}
    for label, name in enumerate(classes):
        archive = part / (name + ARCHIVE)
        if name in inner:
            found.add_archive(part, members(part, inner[name].offset), f"{name}/", label)
        elif archive.is_file():
            found.add_archive(archive, members(archive), f"{name}/", label)
        else:
            found.add_folder(part / name, label)
    return found


def _test_part(root: Path, part: Path, classes: Sequence[str]) -> _Found:
    if part.is_dir() and any((part / name).is_dir() for name in classes):
        unknown = sorted(set(class_names(part)) - set(classes))
        if unknown:
            raise UsageError("data.root", part / unknown[0], "is no class of the training images")
        return _by_class(root, part, classes)
    found = _Found(root, part)
    if part.is_dir():
        found.add_folder(part, 0)
    else:
        found.add_archive(part, members(part), "", 0)
    found.labels = array("q", validation_labels(root, found.names, classes))
    return found


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGES) and not PurePath(name).name.startswith(".")


def _images(root: Path, folder: Path) -> Iterator[str]:
    """Image files in and below a folder; their paths from `root`."""
    for place, _, names in os.walk(folder, onerror=_refuse):
        prefix = os.path.relpath(place, root)
        yield from (f"{prefix}/{name}" for name in names if _is_image(name))


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a class that has no folder in the test part
        raise UsageError("data.root", error.filename, f"cannot be read ({error.strerror})")
