"""Image files as samples: the same pixels whoever reads them, and what becomes of those that cannot be read."""

import os
from pathlib import Path

import pytest
import torch
from image_files import CPU, all_of, class_folders, opened
from torch import Tensor

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import UNREAD, LargeSamples
from alexnet_dist.data.imagenet.layouts import find_layout
from alexnet_dist.data.imagenet.listing import list_images
from alexnet_dist.data.imagenet.open_parts import open_parts
from alexnet_dist.errors import RankFailed, UsageError
from alexnet_dist.registry import data_sets


@pytest.fixture
def folder(photographs: Path, tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for part, each in (("train", 12), ("val", 5)):
        class_folders(root / part, photographs, classes=3, each=each)
    return root


def quarter(rows: range, sizes: Tensor) -> Tensor:
    """The upper left quarter of each image."""
    return torch.cat([torch.zeros_like(sizes), (sizes + 1) // 2], dim=1)


def large(samples: object) -> LargeSamples:
    assert isinstance(samples, LargeSamples)
    return samples


def test_batches(folder: Path) -> None:
    parts = opened(folder)
    pixels, labels = parts.train.batch(torch.tensor([30, 2, 2]))
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, 3, 256, 256)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [2, 0, 0] and torch.equal(pixels[1], pixels[2])
    empty, none = parts.train.batch(torch.tensor([], dtype=torch.int64))
    assert empty.shape == (0, 3, 256, 256) and none.shape == (0,)
    cropped, _ = large(parts.train).cropped(torch.tensor([30, 2]), quarter, 64)
    whole = torch.nn.functional.interpolate(pixels[:2, :, :128, :128], 64, mode="bilinear", antialias=True)
    assert cropped.shape == (2, 3, 64, 64)
    # The images are not square, and so a quarter of the whole is no quarter of the central square; but it is similar.
    assert (cropped.int() - whole.int()).abs().float().mean() < 60


def test_any_number_of_threads_reads_the_same(folder: Path) -> None:
    expected = all_of(opened(folder))
    ids = torch.arange(20)
    for workers in (1, 3, 4):
        parts = opened(folder, workers)
        for (pixels, labels), (theirs, their_labels) in zip(all_of(parts), expected, strict=True):
            assert torch.equal(pixels, theirs) and torch.equal(labels, their_labels)
        cropped, _ = large(parts.train).cropped(ids, quarter, 50)
        assert torch.equal(cropped, large(opened(folder).train).cropped(ids, quarter, 50)[0])


def test_another_image_stands_in_for_a_broken_one_in_training_alone(folder: Path) -> None:
    before = all_of(opened(folder))
    for number, name in enumerate(("train/c0/image2", "train/c0/image3", "train/c2/image9", "val/c1/image1")):
        path = folder / f"{name}.JPEG"
        path.write_bytes(path.read_bytes()[: 200 * number])
    (folder / "train/c1/image0.JPEG").unlink()
    (folder / "train/c1/image0.JPEG").symlink_to("nowhere")
    listing = list_images(find_layout(folder))
    names = [listing.train.name(number) for number in range(len(listing.train))]
    for workers in (0, 2):
        parts = opened(folder, workers)
        (pixels, labels), (test_pixels, test_labels) = all_of(parts)
        stand_in = list(range(36))
        for name in ("train/c0/image2", "train/c0/image3", "train/c1/image0", "train/c2/image9"):
            number = names.index(f"{name}.JPEG")
            stand_in[number] = number + 1
        for number in (names.index("train/c0/image2.JPEG"),):
            stand_in[number] = number + 2
        stand_in = [number % 36 for number in stand_in]
        assert torch.equal(pixels, before[0][0][stand_in]) and torch.equal(labels, before[0][1][stand_in])
        assert test_labels.tolist() == [0] * 5 + [1, UNREAD, 1, 1, 1] + [2] * 5
        assert not test_pixels[6].any() and torch.equal(test_pixels[7:], before[1][0][7:])
        cropped, labels = large(parts.train).cropped(torch.arange(36), quarter, 40)
        assert torch.equal(cropped, cropped[stand_in]) and labels.tolist() == before[0][1][stand_in].tolist()
        broken = ("train/c0/image2", "train/c0/image3", "train/c1/image0", "train/c2/image9", "val/c1/image1")
        assert set(parts.unreadable) == {f"{name}.JPEG" for name in broken}
        assert parts.unreadable["train/c0/image2.JPEG"] == "empty"
        assert parts.unreadable["train/c1/image0.JPEG"] == "No such file or directory"


def test_a_pipe_or_a_device_in_place_of_an_image_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "train/c0/pipe.jpg")
    (folder / "train/c0/endless.jpg").symlink_to("/dev/zero")
    parts = opened(folder)
    all_of(parts)
    told = "no file, but a pipe or a device"
    assert parts.unreadable == {"train/c0/pipe.jpg": told, "train/c0/endless.jpg": told}


def test_a_broken_image_may_be_refused(folder: Path) -> None:
    (folder / "train/c0/image2.JPEG").write_bytes(b"")
    parts = opened(folder, 2, broken="refuse")
    with pytest.raises(RankFailed, match=r"^train/c0/image2.JPEG cannot be read \(empty\): .* data.broken to skip$"):
        parts.train.batch(torch.arange(12))
    parts.train.batch(torch.arange(6, 36))


def test_an_image_that_is_removed_ends_the_run(folder: Path) -> None:
    parts, path = opened(folder), folder / "train/c0/image2.JPEG"
    path.unlink()
    for read in (parts.train.batch, lambda ids: large(parts.train).cropped(ids, quarter, 40)):
        with pytest.raises(RankFailed, match=f"^{path}: was removed while it was in use: put it back as it was"):
            read(torch.arange(12))
    assert not parts.unreadable


def test_a_folder_of_broken_images_ends(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(60):
            (tmp_path / name / f"{number}.jpg").write_bytes(b"junk")
    with pytest.raises(RankFailed, match=r"100 images in a row cannot be read, the first is "):
        opened(tmp_path).train.batch(torch.arange(1))


def test_the_data_sets_and_what_they_say_of_themselves(folder: Path) -> None:
    settings = DataConfig(name="image_folder", root=str(folder))
    assert data_sets["image_folder"].facts(settings).class_names == ("c0", "c1", "c2")
    data_sets["image_folder"].check(settings)
    with pytest.raises(UsageError, match=r"data.root: .*: has 3 classes, imagenet has 1000: --data.name image_folder"):
        data_sets["imagenet"].check(settings)
    assert data_sets["imagenet"].facts(DataConfig(root="/proc/nowhere")).classes == 1000
    assert data_sets["image_folder"].facts(DataConfig(root="/proc/nowhere")).classes is None
    with pytest.raises(UsageError, match=r"data.root: empty: name the folder"):
        data_sets["image_folder"].check(DataConfig())
    about = open_parts(folder, settings, CPU).about
    assert about.startswith(f"{folder}: 36 training and 15 test images of 3 classes; decoding: 1 thread beside ")
