"""Folders of image files for tests, made of real photographs, small enough to be quick."""

import io
import tarfile
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import Parts
from alexnet_dist.data.imagenet.open_parts import open_parts

CPU = torch.device("cpu")


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def pictures(photographs: Path, count: int, side: int = 100) -> list[Image.Image]:
    """Photographs of several classes, shrunk to fit into a square."""
    files = sorted(photographs.glob("*/*/*.webp"))
    found = []
    for path in files[:: len(files) // count][:count]:
        with Image.open(path) as image:
            small = image.convert("RGB")
        small.thumbnail((side, side))
        found.append(small)
    return found


def class_folders(root: Path, photographs: Path, classes: int = 3, each: int = 8, side: int = 100) -> Path:
    """`each` JPEGs in each of the folders c0, c1, …"""
    for number, image in enumerate(pictures(photographs, classes * each, side)):
        folder = root / f"c{number % classes}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"image{number // classes}.JPEG").write_bytes(jpeg(image))
    return root


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, contents in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(contents)
            archive.addfile(entry, io.BytesIO(contents))
    return path


def opened(root: Path, workers: int = 0, broken: Literal["skip", "refuse"] = "skip") -> Parts:
    """Opens image files as training on a CPU does."""
    return open_parts(root, DataConfig(workers=workers, broken=broken), CPU)


def all_of(parts: Parts) -> list[tuple[Tensor, Tensor]]:
    return [part.batch(torch.arange(len(part))) for part in (parts.train, parts.test)]
