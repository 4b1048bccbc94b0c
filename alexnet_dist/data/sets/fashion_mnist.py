"""Fashion-MNIST from local files: 60,000 training and 10,000 test images of 28 x 28, ten classes.

The files are those that zalandoresearch/fashion-mnist publishes, gzipped or unpacked.
"""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, final

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import DataSet, Facts, InMemory, Parts
from alexnet_dist.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from alexnet_dist.nets.table import Table
    from alexnet_dist.rng import Rng

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
USUAL_PLACES = ("~/Datasets/FashionMNIST", "/usr/share/datasets/fashion-mnist")

# Of the unpacked files, so that it does not matter who packed them. Debian's packed files differ from the
# publisher's, their contents do not (MD5 of train-images-idx3-ubyte: f4a8712d7a061bf5bd6d2ca38dc4d50a in both).
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@final
class FashionMnist(DataSet):
    name = "fashion_mnist"
    unused = ("samples", "broken", "stage")

    def facts(self, settings: DataConfig) -> Facts:
        return Facts(classes=10, channels=1, class_names=CLASS_NAMES)

    def check(self, settings: DataConfig) -> str | None:
        try:
            find_folder(settings.root)
        except UsageError:
            if settings.root is not None:
                raise
            return f"Fashion-MNIST is not there yet: training fetches it into {folder_to_fill(None)}"
        return None

    def open(self, settings: DataConfig, table: Table, rng: Rng, device: torch.device) -> Parts:
        from alexnet_dist.data.fetch.fashion_mnist import fetch

        # Every rank gets here; where the files are missing, one fetches them while the others wait. A folder that the
        # user named is not filled: the name may be a slip.
        folder = find_folder(settings.root) if settings.root is not None else fetch(None)
        return Parts(_part(folder, "train", device), _part(folder, "t10k", device))


registry.data_sets.register(FashionMnist())


def _part(folder: Path, part: str, device: torch.device) -> InMemory:
    pixels = _read(folder, f"{part}-images-idx3-ubyte")[16:].view(-1, 1, 28, 28)
    labels = _read(folder, f"{part}-labels-idx1-ubyte")[8:].long()
    return InMemory(pixels.to(device), labels.to(device))


def read_fashion_mnist(root: str | None) -> dict[str, tuple[Tensor, Tensor]]:
    """Images (uint8, n x 1 x 28 x 28) and labels (int64, n) of the parts "train" and "t10k", on the CPU.

    Args:
        root: the folder; None looks in the usual places.

    Raises:
        UsageError: no folder has all files, or a file is not the published one.
    """
    import torch

    folder = find_folder(root)
    parts = {part: _part(folder, part, torch.device("cpu")) for part in ("train", "t10k")}
    return {name: (part.pixels, part.labels) for name, part in parts.items()}


def find_folder(root: str | None) -> Path:
    """The first folder that has all four files, also in torchvision's `FashionMNIST/raw` below it.

    Raises:
        UsageError: none has, or the folder wanted cannot be read.
    """
    places = [Path(root)] if root is not None else _usual_places()
    for place in places:
        try:
            for folder in (place, place / "raw", place / "FashionMNIST" / "raw"):
                if all(_path(folder, name) for name in FILES):
                    return folder
        except OSError as error:
            if root is not None:
                raise UsageError("data.root", place, f"cannot be read ({error.strerror})") from None
    searched = ", ".join(map(str, places))
    raise UsageError(
        "data.root",
        searched,
        "no Fashion-MNIST there: run alexnet-dist data fetch, with --root FOLDER if you like; "
        "for images of your own, set data.name",
    )


def folder_to_fill(root: str | None) -> Path:
    """Where missing files go: the folder wanted, else the first usual place.

    Raises:
        UsageError: that would be a home folder, and this user has none.
    """
    return _expanded(USUAL_PLACES[0]) if root is None else Path(root)


def _expanded(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise UsageError("data.root", place, "this user has no home folder: name another, or set HOME") from None


def _usual_places() -> list[Path]:
    """Those that this user can have: in a container there may be no home folder."""
    found = []
    for place in USUAL_PLACES:
        with suppress(UsageError):
            found.append(_expanded(place))
    return found


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read(folder: Path, name: str) -> Tensor:
    path = _path(folder, name)
    assert path is not None, "found by find_folder"
    import torch

    return torch.frombuffer(bytearray(read_published(path, name)), dtype=torch.uint8)


def check_published(folder: Path) -> None:
    """Read what `find_folder` found.

    Raises:
        UsageError: a file is not the published one.
    """
    for name in FILES:
        path = _path(folder, name)
        assert path is not None, "found by find_folder"
        read_published(path, name)


def read_published(path: Path, name: str) -> bytes:
    """Contents of a file, unpacked.

    Args:
        path: packed unless its name is `name`.
        name: which of the four files it should be.

    Raises:
        UsageError: it cannot be read, or is not what was published under the name.
    """
    try:
        raw = path.read_bytes()
        raw = raw if path.name == name else gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError("data.root", path, f"cannot be read ({error}): fetch it again") from None
    if sha256(raw).hexdigest() != FILES[name]:
        raise UsageError("data.root", path, "not the published file (its SHA-256 differs): fetch it again")
    return raw
