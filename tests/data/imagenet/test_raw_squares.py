"""Squares of raw images: compiled code and Python read the same, also where files are missing or too short."""

import os
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
from alexnet_dist.data.imagenet import raw_squares
from alexnet_dist.data.imagenet.raw_squares import RawSquares
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.rng import Rng

SIDE, SIZE = 48, 37


@pytest.fixture
def folder(photographs: Path, tmp_path: Path) -> Path:
    source, target = class_folders(tmp_path / "images", photographs, classes=3, each=10, side=60), tmp_path / "raw"
    flags = ["--format", "raw", "--size", str(SIDE), "--shard_samples", "6"]
    assert cli.main(["data", "prepare", "image_folder", str(source), str(target), *flags]) == 0
    return target


def read(parts: Parts) -> list[Tensor]:
    """Squares and whole images of both parts, all in an order of their own, and their labels."""
    found = []
    for part in (parts.train, parts.test):
        assert isinstance(part, SquareSamples)
        ids = torch.randperm(3 * len(part), generator=torch.Generator().manual_seed(1)) % len(part)
        cuts = torch.stack([ids * 5 % (SIDE - SIZE + 1), ids * 7 % (SIDE - SIZE + 1), ids % 2], 1)
        found += [*part.squares(ids, SIZE, cuts), *part.batch(ids)]
    return found


def uncompiled(folder: Path, workers: int, patch: pytest.MonkeyPatch) -> Parts:
    with patch.context() as within:
        within.setattr(raw_squares, "compiled", lambda source: (None, "no compiler"))
        return opened(folder, workers)


def test_compiled_and_python_read_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []
    theirs = read(uncompiled(folder, 0, monkeypatch))
    whole = theirs[2]
    compiled_read = RawSquares.read

    def counted(*given: Any) -> int:
        filled.append(compiled_read(*given))
        return filled[-1]

    monkeypatch.setattr(RawSquares, "read", counted)
    for workers in (0, 3):
        for ours, other in zip(read(opened(folder, workers)), theirs, strict=True):
            assert torch.equal(ours, other)
    assert sum(filled) == 4 * sum(len(theirs[number]) for number in (1, 5)), "no row was left to Python"
    ids = torch.randperm(len(whole), generator=torch.Generator().manual_seed(1)) % (len(whole) // 3)
    for image, square, number in zip(whole, theirs[0], ids.tolist(), strict=True):
        top, left = number * 5 % (SIDE - SIZE + 1), number * 7 % (SIDE - SIZE + 1)
        expected = image[:, top : top + SIZE, left : left + SIZE]
        assert torch.equal(square, expected.flip(2) if number % 2 else expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_files_that_are_missing_or_end_early(folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = opened(folder, workers), uncompiled(folder, workers, monkeypatch)
    (folder / "train-00001.npy").unlink()
    (folder / "test-00000.npy").unlink()
    short = folder / "train-00002.npy"
    os.truncate(short, short.stat().st_size - 5 * SIDE * SIDE * 3 // 2)  # the last two and a half images
    for mine, other in zip(read(ours), read(theirs), strict=True):
        assert torch.equal(mine, other)
    assert ours.unreadable == theirs.unreadable
    reasons = list(ours.unreadable.values())
    assert set(reasons) == {"No such file or directory", "the file ends too early"}
    assert reasons.count("the file ends too early") == 3


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
