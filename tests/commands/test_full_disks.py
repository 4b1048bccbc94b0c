"""Files that do not fit on their disk: one line, and nothing half-written in the way of the next attempt."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disks import NO_SPACE, fill, mounted

from alexnet_dist.cli import main
from alexnet_dist.compare.config import load_comparison
from alexnet_dist.compare.runner import locked_folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "100k") as folder:
        yield folder


def test_a_drawing(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk)
    words = ["layers", "--net.name", "alexnet_small", "--format", "svg", "--output", str(disk / "net.svg")]
    assert main(words) == 2
    assert capsys.readouterr().err == f"error: --output: {disk}/net.svg: cannot be written ({NO_SPACE})\n"
    assert [path.name for path in disk.iterdir()] == ["filler"]
    (disk / "filler").unlink()
    assert main(words) == 0 and (disk / "net.svg").stat().st_size > 10_000


def test_a_comparison(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = disk / "compare"
    flags = ["--strategies", "single", "--net.name", "alexnet_small", "--data.name", "synthetic", "--dir", str(folder)]
    folder.mkdir()
    fill(disk)
    assert main(["compare", *flags]) == 1
    assert capsys.readouterr().err == f"error: {folder}: {NO_SPACE}: make room, and the same command continues\n"
    (disk / "filler").unlink()
    with locked_folder(load_comparison(flags)):
        assert {path.name for path in folder.iterdir()} <= {".lock"}
