"""The photographs of Debian's packages, and the tiles that are cut from large ones."""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import pictures
from PIL import Image

from alexnet_dist.data.fetch.debian import LICENCES
from alexnet_dist.data.fetch.photographs import CLASSES, fetch
from alexnet_dist.data.fetch.rcc import resource_files
from alexnet_dist.data.fetch.tiles import tiles
from alexnet_dist.errors import UsageError


def test_there_are_255_of_them(photographs: Path) -> None:
    counts = {name: len(list((photographs / name).glob("**/*.webp"))) for name in sorted(set(CLASSES.values()))}
    assert counts == {
        "animals": 57, "energy": 29, "fish": 28, "household": 17, "monuments": 76, "music": 9, "tools": 39,
    }  # fmt: skip
    with Image.open(next((photographs / "fish").glob("**/*.webp"))) as image:
        assert image.mode == "RGB" and max(image.size) == 320
    assert "CC-BY-SA" in (photographs / LICENCES).read_text()
    assert fetch(str(photographs)) == photographs


def test_from_debian_without_root(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("not a Debian machine")
    folder = fetch(str(tmp_path / "new"))
    assert len(list(folder.glob("*/*/**/*.webp"))) == 255
    assert sorted(path.name for path in folder.iterdir()) == [".lock", LICENCES, *sorted(set(CLASSES.values()))]


def test_a_machine_without_debians_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/proc/nowhere")
    with pytest.raises(UsageError, match=r"^--root: .*: the photographs .* could not be fetched \(no apt-get"):
        fetch(str(tmp_path / "new"))


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"could not be fetched \(File exists: .*/file\)$"):
        fetch(str(tmp_path / "file"))


def resources(version: int) -> bytes:
    """The folder `a` with the files `b`, as it is, and `c`, compressed with zlib."""
    names = b"".join(struct.pack(">HI", len(name), 0) + name.encode("utf-16-be") for name in "abc")
    packed = struct.pack(">I", 500) + zlib.compress(b"c" * 500)
    data = struct.pack(">I", 3) + b"bbb" + struct.pack(">I", len(packed)) + packed
    time = bytes(8 if version > 1 else 0)
    tree = [
        struct.pack(">IHII", 0, 2, 1, 1), struct.pack(">IHII", 0, 2, 2, 2),
        struct.pack(">IHHHI", 8, 0, 0, 0, 0), struct.pack(">IHHHI", 16, 1, 0, 0, 7),
    ]  # fmt: skip
    header = 24 if version > 2 else 20
    places = header, header + len(data), header + len(data) + len(names)
    start = struct.pack(">4sIIII", b"qres", version, places[2], places[0], places[1]) + bytes(header - 20)
    return start + data + names + b"".join(node + time for node in tree)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_format_of_qts_resources(version: int) -> None:
    assert list(resource_files(resources(version))) == [("a/b", b"bbb"), ("a/c", b"c" * 500)]
    with pytest.raises(ValueError, match="not a file of Qt resources"):
        next(resource_files(b"junk"))


def test_tiles_are_disjoint_and_lie_within(photographs: Path) -> None:
    image = pictures(photographs, 1, 300)[0]
    pixels = np.asarray(image)
    found = list(tiles(image, 64))
    assert len(found) == (image.width // 64) * (image.height // 64) > 4
    for row, column, tile in found:
        assert np.array_equal(np.asarray(tile), pixels[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64])
