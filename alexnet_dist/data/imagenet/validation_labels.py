"""Labels of validation images that are all in one folder, from the files that people have them in.

In the order in which they are looked for, in the data set's folder or in its `val`:

- LOC_val_solution.csv, of Kaggle: an image's name and its synset, "ILSVRC2012_val_00048981,n03995372 85 1 499 272";
- val.txt, of Caffe, and val_annotations.txt, of Tiny ImageNet: an image's name, then its synset or label, which is the
  synset's place in the sorted order;
- ILSVRC2012_validation_ground_truth.txt and meta.mat of the development kit, ILSVRC2012_devkit_t12.tar.gz, packed or
  unpacked: in each line a number of meta.mat's table, in the sorted order of the images' names.
"""

import re
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath

from alexnet_dist.errors import UsageError

TEXT_FILES = ("LOC_val_solution.csv", "val.txt", "val_annotations.txt")
GROUND_TRUTH, SYNSETS = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
KIT = "ILSVRC2012_devkit_t12"
DOCUMENTED = "ILSVRC2012_devkit_t12.tar.gz, LOC_val_solution.csv or val.txt"


def validation_labels(root: Path, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Labels of validation images in one folder.

    Args:
        root: the data set's folder.
        names: the images' paths.
        classes: in the order of labels.

    Raises:
        UsageError: there is no file of labels, or it does not fit.
    """
    for file in TEXT_FILES:
        for folder in (root, root / "val"):
            if (folder / file).is_file():
                return _from_text(folder / file, names, classes)
    kit = _kit(root)
    if kit is None:
        raise UsageError("data.root", root, f"its validation images need labels: put {DOCUMENTED} there")
    return _from_kit(root, *kit, names, classes)


def _from_text(path: Path, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    numbers = {name: number for number, name in enumerate(classes)}
    labels = {}
    for line in path.read_text().splitlines():
        words = line.replace(",", " ").split()
        if len(words) >= 2:
            label = int(words[1]) if words[1].isascii() and words[1].isdecimal() else numbers.get(words[1], -1)
            labels[PurePath(words[0]).stem] = label
    found = [labels.get(PurePath(name).stem, -1) for name in names]
    for name, label in zip(names, found, strict=True):
        if not 0 <= label < len(classes):
            raise UsageError("data.root", path, f"has no class for {name}, or one that is not among those of training")
    return found


def _kit(root: Path) -> tuple[str, bytes] | None:
    """The development kit's ground truth and table of synsets; None where there is no kit."""
    for folder in (root, root / "data", root / KIT / "data", root / KIT):
        if (folder / GROUND_TRUTH).is_file() and (folder / SYNSETS).is_file():
            return (folder / GROUND_TRUTH).read_text(), (folder / SYNSETS).read_bytes()
    packed = root / f"{KIT}.tar.gz"
    if not packed.is_file():
        return None
    try:
        with tarfile.open(packed) as archive:
            found = {PurePath(entry.name).name: entry for entry in archive if entry.isfile()}
            truth, synsets = (archive.extractfile(found[name]) for name in (GROUND_TRUTH, SYNSETS))
            assert truth is not None and synsets is not None, "files"
            return truth.read().decode(), synsets.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error, KeyError) as error:
        raise UsageError("data.root", packed, f"cannot be read ({error}): fetch it again") from None


def _from_kit(root: Path, truth: str, table: bytes, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    ids = [int(word) for word in truth.split()]
    synsets = synsets_by_number(table)
    if len(ids) != len(names) or not set(ids) <= set(range(1, len(synsets) + 1)):
        raise UsageError("data.root", root, f"{len(names)} validation images and {len(ids)} labels in {GROUND_TRUTH}")
    by_name = sorted(range(len(names)), key=lambda index: PurePath(names[index]).name)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [0] * len(names)
    for place, index in enumerate(by_name):
        synset = synsets[ids[place] - 1]
        if synset not in numbers:
            raise UsageError("data.root", root, f"{names[index]} is of {synset}, which is no class of training")
        labels[index] = numbers[synset]
    return labels


def synsets_by_number(table: bytes) -> list[str]:
    """The synsets of the development kit's meta.mat, in the order of its numbers, which count from 1.

    The file is MATLAB's level 5: elements of a type, a length and contents, most of them compressed. Its one table has
    the synsets in the order of their numbers, as the kit's readme.txt says; a name has 8 or 16 bits a letter.
    """
    text, position = b"", 128
    while position + 8 <= len(table):
        kind, length = (int.from_bytes(table[position + i : position + i + 4], "little") for i in (0, 4))
        contents = table[position + 8 : position + 8 + length]
        text += zlib.decompress(contents) if kind == 15 else contents
        position += 8 + length
    found = re.findall(rb"n\0?(?:\d\0?){8}", text)
    return list(dict.fromkeys(name.replace(b"\0", b"").decode() for name in found))
