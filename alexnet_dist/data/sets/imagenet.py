"""Image files: `imagenet`, ILSVRC-2012 with its thousand classes, and `image_folder`, any folder of class folders.

Both read the layouts of `data/imagenet/layouts.py`, and what `alexnet-dist data prepare` made of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, Parts
from alexnet_dist.errors import UsageError

if TYPE_CHECKING:
    import torch

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

CHANNELS = 3


class _ImageFiles(DataSet):
    """Attributes:
    known_classes: how many there must be; None takes any number.
    """

    unused = ("samples",)
    known_classes: ClassVar[int | None]

    def facts(self, settings: DataConfig) -> Facts:
        try:
            names = _class_names(_root(settings))
        except UsageError:  # `open` tells
            return Facts(self.known_classes, CHANNELS)
        return Facts(self.known_classes or len(names), CHANNELS, names)

    def check(self, settings: DataConfig) -> None:
        found = len(_class_names(_root(settings)))
        if self.known_classes not in (None, found):
            remedy = f"has {found} classes, {self.name} has {self.known_classes}: --data.name image_folder takes any"
            raise UsageError("data.root", settings.root, remedy)

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        from alexnet_dist.data.imagenet.open_parts import open_parts

        self.check(settings)
        return open_parts(_root(settings), settings, device)


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


def _root(settings: DataConfig) -> Path:
    """
    Raises:
        UsageError: no folder is named.
    """
    if settings.root is None:
        raise UsageError("data.root", "", "name the folder of the images")
    return Path(settings.root).expanduser()


def _class_names(root: Path) -> tuple[str, ...]:
    """In the order of labels.

    Raises:
        UsageError: no data set is there.
    """
    from alexnet_dist.data.imagenet.index import INDEX, read_index
    from alexnet_dist.data.imagenet.layouts import find_layout

    return tuple(read_index(root).classes) if (root / INDEX).is_file() else find_layout(root).classes()
