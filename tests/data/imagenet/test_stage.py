"""Copies of prepared data on a machine's own disk: by one of several processes, interrupted."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
import torch
from image_files import all_of, class_folders, opened

from alexnet_dist import cli
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.imagenet import stage as stage_module
from alexnet_dist.data.imagenet.stage import staged
from alexnet_dist.errors import UsageError
from alexnet_dist.registry import data_sets


@pytest.fixture
def prepared(photographs: Path, tmp_path: Path) -> Path:
    source, target = class_folders(tmp_path / "images", photographs, each=10), tmp_path / "prepared"
    words = ["data", "prepare", "image_folder", str(source), str(target), "--shard_samples", "8", "--size", "32"]
    assert cli.main(words) == 0
    return target


@pytest.fixture
def copies(prepared: Path, tmp_path: Path) -> Path:
    return tmp_path / "copies"


def test_a_copy_is_the_same_and_is_made_once(prepared: Path, copies: Path) -> None:
    copy = staged(str(prepared), copies)
    names = {path.name for path in prepared.iterdir()}
    assert {path.name for path in copy.iterdir()} == names | {".lock"}
    assert all((copy / name).read_bytes() == (prepared / name).read_bytes() for name in names)
    for ours, theirs in zip(all_of(opened(copy)), all_of(opened(prepared)), strict=True):
        assert torch.equal(ours[0], theirs[0])
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert staged(str(prepared), copies) == copy
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.name != ".lock"} | {
        ".lock": before[".lock"]
    } == before


def test_an_interrupted_copy_goes_on_with_what_is_missing(prepared: Path, copies: Path) -> None:
    copy = staged(str(prepared), copies)
    for name in ("index.json", "train-00001.tar"):
        (copy / name).unlink()
    (copy / "train-00001.tar.part").write_bytes(b"half")
    before = (copy / "train-00000.tar").stat().st_mtime_ns
    staged(str(prepared), copies)
    assert (copy / "train-00000.tar").stat().st_mtime_ns == before
    assert (copy / "train-00001.tar").read_bytes() == (prepared / "train-00001.tar").read_bytes()
    assert not (copy / "train-00001.tar.part").exists()


def test_a_damaged_source_is_refused(prepared: Path, copies: Path) -> None:
    (prepared / "train-00001.tar").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"train-00001.tar: is not the file that its index names"):
        staged(str(prepared), copies)
    assert not list(copies.glob("*/index.json")) and not list(copies.glob("*/*.part"))


def test_a_disk_that_is_too_small(prepared: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "SPARE_BYTES", 1 << 60)
    with pytest.raises(UsageError, match=r"^data.stage: .* GB are to be copied there, .* GB are free"):
        staged(str(prepared), copies)
    with pytest.raises(UsageError, match=r"^data.stage: /proc/nowhere/.*cannot be written"):
        staged(str(prepared), Path("/proc/nowhere"))


def test_several_processes_copy_once(prepared: Path, copies: Path) -> None:
    program = str(Path(__file__).with_name("copying.py"))
    line = [sys.executable, program, str(prepared), str(copies)]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert len({lines[-1] for lines in printed}) == 1
    assert sum(line.startswith("data.stage: copying ") for lines in printed for line in lines) == 1


def test_what_training_is_told(prepared: Path, tmp_path: Path) -> None:
    data_set = data_sets["image_folder"]
    with pytest.raises(UsageError, match=r"is not prepared: alexnet-dist data prepare"):
        data_set.check(DataConfig(root=str(tmp_path / "images"), stage=str(tmp_path / "copies")))
    with pytest.raises(UsageError, match=r"name a folder for it in data.stage"):
        data_set.check(DataConfig(root="memory://nowhere"))
    with pytest.raises(UsageError, match=r"^data.root: memory://nowhere: cannot be read"):
        data_set.check(DataConfig(root="memory://nowhere", stage=str(tmp_path)))
    with pytest.raises(UsageError, match=r"^data.root: nonsense://x: cannot be read \(Protocol not known"):
        data_set.check(DataConfig(root="nonsense://x", stage=str(tmp_path)))
    data_set.check(DataConfig(root=str(prepared), stage=str(tmp_path)))


def test_from_a_file_system_of_fsspecs(prepared: Path, copies: Path) -> None:
    files = fsspec.filesystem("memory")
    files.put(str(prepared), "/there", recursive=True)
    settings = DataConfig(root="memory://there", stage=str(copies))
    assert data_sets["image_folder"].facts(settings).class_names == ("c0", "c1", "c2")
    copy = staged("memory://there", copies)
    assert all((copy / path.name).read_bytes() == path.read_bytes() for path in prepared.iterdir())
