"""Prepared images: compiled code and Python read the same, also of damaged shards; shards that change end the run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from image_files import class_folders, opened
from torch import Tensor

from alexnet_dist import cli
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.augment.alexnet import AlexNetAugmenter
from alexnet_dist.data.dataset import Parts, SquareSamples
from alexnet_dist.data.imagenet import shard_reads
from alexnet_dist.data.imagenet.index import read_index
from alexnet_dist.data.imagenet.prepared import PreparedSamples
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.errors import RankFailed
from alexnet_dist.rng import Rng

SIDE, SIZE = 48, 37


@pytest.fixture(params=["jpeg", "raw"])
def folder(photographs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    source, target = class_folders(tmp_path / "images", photographs, classes=3, each=10, side=60), tmp_path / "prepared"
    flags = ["--format", str(request.param), "--size", str(SIDE), "--shard_samples", "6"]
    assert cli.main(["data", "prepare", "image_folder", str(source), str(target), *flags]) == 0
    return target


def order(samples: int) -> Tensor:
    return torch.randperm(3 * samples, generator=torch.Generator().manual_seed(1)) % samples


def read(parts: Parts) -> list[Tensor]:
    """Squares and whole images of both parts, each image three times, and their labels."""
    found = []
    for part in (parts.train, parts.test):
        assert isinstance(part, SquareSamples)
        ids = order(len(part))
        cuts = torch.stack([ids * 5 % (SIDE - SIZE + 1), ids * 7 % (SIDE - SIZE + 1), ids % 2], 1)
        found += [*part.squares(ids, SIZE, cuts), *part.batch(ids)]
    return found


def uncompiled(folder: Path, workers: int, patch: pytest.MonkeyPatch) -> Parts:
    with patch.context() as within:
        within.setattr(shard_reads, "compiled", lambda source: (None, "no compiler"))
        return opened(folder, workers)


def test_compiled_and_python_read_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = read(uncompiled(folder, 0, monkeypatch))
    squares, whole = theirs[0], theirs[2]
    for square, image, number in zip(squares, whole, order(len(whole) // 3).tolist(), strict=True):
        top, left = number * 5 % (SIDE - SIZE + 1), number * 7 % (SIDE - SIZE + 1)
        expected = image[:, top : top + SIZE, left : left + SIZE]
        assert torch.equal(square, expected.flip(2) if number % 2 else expected)

    def refuse(*_: Any) -> None:
        raise AssertionError("a row was left to Python")

    monkeypatch.setattr(PreparedSamples, "_read", refuse)
    monkeypatch.setattr(PreparedSamples, "_decode", refuse)
    for workers in (0, 3):
        for ours, other in zip(read(opened(folder, workers)), theirs, strict=True):
            assert torch.equal(ours, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_images(folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = folder / read_index(folder).parts["train"].shards[0].name
    damaged.write_bytes(bytes(damaged.stat().st_size))  # as pixels they are black, as JPEG they cannot be decoded
    ours, theirs = opened(folder, workers), uncompiled(folder, workers, monkeypatch)
    for mine, other in zip(read(ours), read(theirs), strict=True):
        assert torch.equal(mine, other)
    assert ours.unreadable == theirs.unreadable
    assert len(ours.unreadable) == (0 if damaged.suffix == ".npy" else 6)


def overwrite(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def replace(path: Path) -> None:
    (beside := path.with_name("beside")).write_bytes(path.read_bytes()[::-1])
    beside.replace(path)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("deed", [overwrite, replace, cut_short, Path.unlink])
@pytest.mark.parametrize("folder", ["raw"], indirect=True)
def test_a_shard_that_does_not_stay_as_it_was_ends_the_run(
    deed: Callable[[Path], None], is_compiled: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except where it was opened before, and stays there for who has it open."""
    before, after = ((opened(folder) if is_compiled else uncompiled(folder, 0, monkeypatch)).train for _ in range(2))
    ids = torch.arange(len(before))
    pixels, _ = before.batch(ids)
    shard = folder / read_index(folder).parts["train"].shards[2].name
    deed(shard)
    what = "removed" if deed is Path.unlink else "changed"
    with pytest.raises(RankFailed, match=f"^{shard}: was {what} while it was in use: put it back"):
        after.batch(ids)
    if deed in (replace, Path.unlink):
        assert torch.equal(before.batch(ids)[0], pixels)
    else:
        with pytest.raises(RankFailed, match=f"^{shard}: was changed"):
            before.batch(ids)


def test_the_table_is_not_needed_once_it_is_open(folder: Path) -> None:
    """A file that is mapped and cut short would end the process."""
    parts, expected = opened(folder), read(opened(folder))
    for name in ("train.npy", "test.npy"):
        os.truncate(folder / name, 0)
    assert all(torch.equal(mine, other) for mine, other in zip(read(parts), expected, strict=True))


def test_a_square_as_large_as_the_image_is_mirrored_too(folder: Path) -> None:
    samples, settings = opened(folder).train, DataConfig(augment="alexnet", colour_noise=0.0, crop=SIDE)
    augmenter = AlexNetAugmenter(settings, InputTransform(SIDE, torch.float32, SIDE), Rng(3), None)
    ids = torch.arange(len(samples))
    draws = augmenter.draw(0, ids)
    found = augmenter.change(augmenter.read(samples, ids, draws)[0], draws)
    whole, _ = samples.batch(ids)
    mirrored = draws[:, 2] < 0.5
    assert 0 < mirrored.sum() < len(ids)
    assert torch.equal(found, torch.where(mirrored[:, None, None, None], whole.flip(3), whole))
