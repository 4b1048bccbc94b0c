"""The same images, in every layout in which people have them, are the same samples."""

import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import jpeg, pictures, tar_of

from alexnet_dist.data.imagenet.layouts import find_layout, is_test
from alexnet_dist.data.imagenet.listing import Listing, list_images
from alexnet_dist.data.imagenet.validation_labels import GROUND_TRUTH, KIT, SYNSETS
from alexnet_dist.errors import UsageError

CLASSES = ("n01440764", "n01443537", "n02102040")
# Of the development kit, whose numbers follow another order, and which has synsets above the classes.
KIT_ORDER = ("n02102040", "n01440764", "n01443537", "n00001740")
TRAIN = {f"{name}/{name}_{number}.JPEG": number for name in CLASSES for number in (3, 10, 7)}
VALIDATION = {f"ILSVRC2012_val_{number:08d}": CLASSES[number % 3] for number in range(1, 6)}
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(photographs: Path) -> tuple[Files, Files]:
    """Contents by name, of training and of validation images; the latter without folders."""
    images = [jpeg(image) for image in pictures(photographs, len(TRAIN) + len(VALIDATION), 40)]
    validation = {f"{name}.JPEG": images[len(TRAIN) + i] for i, name in enumerate(VALIDATION)}
    return dict(zip(TRAIN, images, strict=False)), validation


def write(root: Path, contents: Files) -> None:
    for name, raw in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(raw)


def by_class(validation: Files) -> Files:
    return {f"{VALIDATION[Path(name).stem]}/{name}": raw for name, raw in validation.items()}


def meta(letters: int) -> bytes:
    """A table of synsets as MATLAB writes it: a header, then a compressed element; 8 or 16 bits a letter."""
    texts = b"".join(
        struct.pack("<II", 16 if letters == 1 else 4, len(name) * letters) + name.encode("utf-16-le")[:: 3 - letters]
        for name in KIT_ORDER
    )
    packed = zlib.compress(struct.pack("<II", 14, len(texts)) + texts)
    return b"MATLAB 5.0 MAT-file".ljust(128) + struct.pack("<II", 15, len(packed)) + packed


def truth() -> str:
    return "".join(f"{KIT_ORDER.index(VALIDATION[name]) + 1}\n" for name in sorted(VALIDATION))


def in_folders(root: Path, train: Files, validation: Files) -> None:
    write(root / "train", train)
    write(root / "val", by_class(validation))


def with_a_text_file(root: Path, train: Files, validation: Files) -> None:
    write(root / "train", train)
    write(root / "val", validation)
    lines = [f"{name}.JPEG {CLASSES.index(label)}" for name, label in VALIDATION.items()]
    (root / "val.txt").write_text("\n".join(lines))


def of_kaggle(root: Path, train: Files, validation: Files) -> None:
    write(root / "ILSVRC/Data/CLS-LOC/train", train)
    write(root / "ILSVRC/Data/CLS-LOC/val", validation)
    lines = [f"{name},{label} 1 2 30 40 {label} 5 6 70 80" for name, label in reversed(VALIDATION.items())]
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "\n".join(lines))


def as_downloaded(root: Path, train: Files, validation: Files) -> None:
    inner = {}
    for name in reversed(CLASSES):
        path = tar_of(root / "one", {Path(file).name: raw for file, raw in train.items() if file.startswith(name)})
        inner[f"{name}.tar"] = path.read_bytes()
    (root / "one").unlink()
    tar_of(root / "ILSVRC2012_img_train.tar", inner)
    tar_of(root / "ILSVRC2012_img_val.tar", dict(reversed(validation.items())))
    kit = {f"{KIT}/data/{GROUND_TRUTH}": truth().encode(), f"{KIT}/data/{SYNSETS}": meta(1), f"{KIT}/readme.txt": b"-"}
    plain = tar_of(root / "kit", kit)
    with tarfile.open(root / f"{KIT}.tar.gz", "w:gz") as packed, tarfile.open(plain) as archive:
        for entry in archive:
            packed.addfile(entry, archive.extractfile(entry))
    plain.unlink()


def unpacked_once(root: Path, train: Files, validation: Files) -> None:
    (root / "train").mkdir()
    for name in CLASSES:
        tar_of(root / f"train/{name}.tar", {Path(f).name: raw for f, raw in train.items() if f.startswith(name)})
    tar_of(root / "ILSVRC2012_img_val.tar", validation)
    (root / KIT / "data").mkdir(parents=True)
    (root / KIT / "data" / GROUND_TRUTH).write_text(truth())
    (root / KIT / "data" / SYNSETS).write_bytes(meta(2))


LAYOUTS: list[Callable[[Path, Files, Files], None]] = [
    in_folders, with_a_text_file, of_kaggle, as_downloaded, unpacked_once,
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_the_layouts(layout: Callable[[Path, Files, Files], None], files: tuple[Files, Files], tmp_path: Path) -> None:
    layout(tmp_path, *files)
    found = list_images(find_layout(tmp_path))
    train, validation = files
    assert found.classes == CLASSES
    assert [found.train.name(i).split("/")[-1] for i in range(len(found.train))] == [
        f"{name}_{number}.JPEG" for name in CLASSES for number in (10, 3, 7)
    ]
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for source, contents in ((found.train, train), (found.test, validation)):
        by_file = {Path(name).name: raw for name, raw in contents.items()}
        assert len(source) == len(by_file)
        for number in range(len(source)):
            assert source.read(number) == by_file[Path(source.name(number)).name]
    for number, label in enumerate(found.test.labels):
        assert CLASSES[label] == VALIDATION[Path(found.test.name(number)).stem]


def test_a_folder_without_parts_is_split_by_name(photographs: Path) -> None:
    found: Listing = list_images(find_layout(photographs))
    assert found.classes == ("animals", "energy", "fish", "household", "monuments", "music", "tools")
    parts = [[source.name(number) for number in range(len(source))] for source in (found.train, found.test)]
    assert len(parts[0]) + len(parts[1]) == 255 and 10 < len(parts[1]) < 50
    stems = [{Path(name).stem.lower() for name in part} for part in parts]
    assert not stems[0] & stems[1] and "tajmahal" in stems[0] | stems[1]
    assert [is_test(f"a/b/{name}.x") for name in sorted(stems[1])] == [True] * len(stems[1])
    for source in (found.train, found.test):
        names = [source.name(number) for number in range(len(source))]
        assert [found.classes[label] for label in source.labels] == [name.split("/")[0] for name in names]
        assert (np.diff(source.labels) >= 0).all()


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: root.rmdir(), "no such folder"),
    "nothing in it": (lambda root: None, "has 0 classes"),
    "one class": (lambda root: write(root, {"a/x.jpg": b"-"}), "has 1 classes"),
    "training alone": (lambda root: write(root, {"train/a/x.jpg": b"-"}), "no test images: put them into"),
    "an empty class": (lambda root: (root / "train/c").mkdir(), "has no images, and each folder"),
    "another class in the test part": (lambda root: write(root, {"val/c/x.jpg": b"-"}), "no class of the training"),
    "no labels": (lambda root: write(root, {"validation/x.jpg": b"-"}), "need labels: put "),
    "a label too large": (lambda root: write(root, {"val/x.jpg": b"-", "val.txt": b"x 2"}), "has no class for"),
    "a label missing": (lambda root: write(root, {"val/x.jpg": b"-", "val.txt": b"y 1"}), "has no class for"),
    "a short kit": (
        lambda root: write(root, {"val/x.jpg": b"-", GROUND_TRUTH: b"1\n2", SYNSETS: meta(1)}),
        "1 validation images and 2",
    ),
    "a broken kit": (lambda root: write(root, {"val/x.jpg": b"-", f"{KIT}.tar.gz": b"junk"}), "fetch it again"),
    "no archive": (lambda root: write(root, dict.fromkeys(["train/a.tar", "train/b.tar", "val/x"], b"")), "no whole"),
    "mixed": (lambda root: tar_of(root / "train/b.tar", {"x.jpg": b"-"}), "unpack these"),
}  # fmt: skip
STARTED = ("an empty class", "another class in the test part", "no labels", "a label too large", "a label missing",
           "a short kit", "a broken kit")  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if name in STARTED:
        write(root, {"train/a/x.jpg": b"-", "train/b/x.jpg": b"-"})
    if name in ("an empty class", "another class in the test part"):
        write(root, {"val/a/x.jpg": b"-", "val/b/x.jpg": b"-"})
    if name == "mixed":
        write(root, {"train/a/x.jpg": b"-", "val/a/x.jpg": b"-"})
    change, words = MISTAKES[name]
    change(root)
    with pytest.raises(UsageError, match=words) as caught:
        list_images(find_layout(root))
    assert str(caught.value).startswith("data.root: ") and "\n" not in str(caught.value)


def test_a_cut_archive_is_refused(files: tuple[Files, Files], tmp_path: Path) -> None:
    as_downloaded(tmp_path, *files)
    archive = tmp_path / "ILSVRC2012_img_train.tar"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(UsageError, match="fetch it again"):
        list_images(find_layout(tmp_path))


def test_a_class_may_be_a_link_and_a_loop_ends(files: tuple[Files, Files], tmp_path: Path) -> None:
    in_folders(tmp_path, *files)
    (tmp_path / "train" / CLASSES[0]).rename(tmp_path / "elsewhere")
    (tmp_path / "train" / CLASSES[0]).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "elsewhere")
    assert len(list_images(find_layout(tmp_path)).train) == len(TRAIN)
