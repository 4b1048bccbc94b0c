"""Image files: `imagenet`, ILSVRC-2012 with its thousand classes, and `image_folder`, any folder of class folders.

Both read the layouts of `data/imagenet/layouts.py`, and what `alexnet-dist data prepare` made of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, Parts
from alexnet_dist.errors import UsageError, refusing

if TYPE_CHECKING:
    import torch

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

CHANNELS = 3


class _ImageFiles(DataSet):
    """Images in files, as downloaded or prepared.

    Attributes:
        known_classes: how many there must be; None takes any number.
    """

    unused = ("samples",)
    known_classes: ClassVar[int | None]

    def facts(self, settings: DataConfig) -> Facts:
        try:
            names = _class_names(settings)
        except UsageError:  # `open` reports it
            return Facts(self.known_classes, CHANNELS)
        return Facts(self.known_classes or len(names), CHANNELS, names)

    def check(self, settings: DataConfig) -> None:
        found = len(_class_names(settings))
        if self.known_classes not in (None, found):
            remedy = f"has {found} classes, {self.name} has {self.known_classes}: --data.name image_folder takes any"
            raise UsageError("data.root", settings.root, remedy)

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        from alexnet_dist.data.imagenet.open_parts import open_parts
        from alexnet_dist.data.imagenet.stage import staged

        self.check(settings)
        root = _root(settings)
        folder = Path(root).expanduser() if settings.stage is None else staged(root, Path(settings.stage))
        return open_parts(folder, settings, device)


@final
class ImageNet(_ImageFiles):
    name = "imagenet"
    known_classes = 1000


@final
class ImageFolder(_ImageFiles):
    name = "image_folder"
    known_classes = None


registry.data_sets.register(ImageNet())
registry.data_sets.register(ImageFolder())


def _root(settings: DataConfig) -> str:
    """The folder of the images, as given.

    Raises:
        UsageError: no folder is named.
    """
    if settings.root is None:
        raise UsageError("data.root", "", "name the folder of the images")
    return settings.root


def _class_names(settings: DataConfig) -> tuple[str, ...]:
    """In the order of labels.

    Raises:
        UsageError: no data set is there, or none that can be used as the settings ask.
    """
    from alexnet_dist.data.imagenet.index import INDEX
    from alexnet_dist.data.imagenet.layouts import find_layout
    from alexnet_dist.data.imagenet.stage import index_of, is_remote

    root = _root(settings)
    if is_remote(root) and settings.stage is None:
        raise UsageError("data.root", root, "is read from a copy: name a folder for it in data.stage")
    with refusing("data.root", root):
        if is_remote(root) or (Path(root).expanduser() / INDEX).is_file():
            return tuple(index_of(root).classes)
        found = find_layout(Path(root).expanduser()).classes()
    if settings.stage is not None:
        raise UsageError("data.stage", settings.stage, f"{root} is not prepared: alexnet-dist data prepare")
    return found
