"""The measured ways to load images: each loads what it states, and the figures are rates."""

from pathlib import Path

import pytest
import torch
from image_files import class_folders

from alexnet_dist.bench import loader_cases
from alexnet_dist.bench.loader_cases import CASES, USUAL, measure_loaders, median, multiples, scaling
from alexnet_dist.bench.loaders import BATCH, PROGRAMS, Rates
from alexnet_dist.cli import main


@pytest.fixture
def folder(photographs: Path, tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", photographs, each=10, side=300)


def test_batches_of_files(folder: Path) -> None:
    for name, dtype in (("usual", torch.float32), ("files", torch.uint8)):
        batches = list(PROGRAMS[name](folder, 1, 2 * BATCH))
        assert [images.shape for images, _ in batches] == [(BATCH, 3, 224, 224)] * 2
        assert {images.dtype for images, _ in batches} == {dtype}
        assert {int(label) for _, labels in batches for label in labels} == {0, 1, 2}
        assert not torch.equal(batches[0][0][0], batches[1][0][0])


def test_the_cases_and_their_figures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [loader_cases.LoaderCase(case.name, case.program, case.data, 2 * BATCH) for case in CASES]
    monkeypatch.setattr(loader_cases, "CASES", tuple(small))
    said: list[str] = []
    measured = measure_loaders(str(folder), 1, ("one core",), said.append)
    assert len(said) == 1 + len(CASES) and set(measured) == {(case.name, "one core") for case in CASES}
    assert all(rates.wall > 0 and rates.cpu > 0 for each in measured.values() for rates in each)


def test_multiples_and_scaling() -> None:
    measured = {
        (USUAL, "one core"): [Rates(100, 100), Rates(50, 80)], ("ours", "one core"): [Rates(200, 250), Rates(220, 160)],
        ("ours", "two cores"): [Rates(400, 240), Rates(418, 1)],
    }  # fmt: skip
    assert multiples(measured, "ours") == [2.5, 2.0] and median(measured["ours", "one core"]) == 205
    assert scaling(measured, "ours", "two cores") == 418 / 220


def test_a_folder_without_images_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loader", "--root", str(tmp_path)]) == 2
    assert "has 0 classes" in capsys.readouterr().err
