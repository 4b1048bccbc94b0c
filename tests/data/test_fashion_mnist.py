"""Real files, unpacked ones, damaged ones, none."""

import gzip
import shutil
from pathlib import Path

import pytest
import torch

from alexnet_dist.data.sets.fashion_mnist import read_fashion_mnist
from alexnet_dist.errors import UsageError


@pytest.fixture
def copy(fashion_mnist: Path, tmp_path: Path) -> Path:
    for path in fashion_mnist.glob("*-ubyte*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_the_published_images(fashion_mnist: Path) -> None:
    data = read_fashion_mnist(str(fashion_mnist))
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        images, labels = data[part]
        assert images.shape == (count, 1, 28, 28) and images.dtype == torch.uint8
        assert labels.bincount().tolist() == [count // 10] * 10


def test_unpacked_files(copy: Path) -> None:
    packed = copy / "t10k-labels-idx1-ubyte.gz"
    (copy / "t10k-labels-idx1-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(read_fashion_mnist(str(copy))["t10k"][1]) == 10_000


@pytest.mark.parametrize("damage", ["truncated", "one byte", "not gzip"])
def test_a_damaged_file_is_named(copy: Path, damage: str) -> None:
    path = copy / "t10k-images-idx3-ubyte.gz"
    raw = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif damage == "one byte":
        content = bytearray(gzip.decompress(raw))
        content[5000] ^= 1
        path.write_bytes(gzip.compress(bytes(content), 1))
    else:
        path.write_bytes(b"<html>moved</html>")
    with pytest.raises(UsageError, match=r"^data.root: .*t10k-images-idx3-ubyte.gz: .*fetch it again$"):
        read_fashion_mnist(str(copy))


def test_a_missing_file_tells_where_it_looked(copy: Path) -> None:
    (copy / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match=r"alexnet-dist data fetch, .*; for images of your own, set data.name"):
        read_fashion_mnist(str(copy))
