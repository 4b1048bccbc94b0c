"""Preparing: the same bytes by any number of workers, and by a program that is killed again and again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import preloaded
import pytest
import torch
from image_files import all_of, class_folders, opened

from alexnet_dist import cli
from alexnet_dist.data.imagenet.contact_sheet import contact_sheet
from alexnet_dist.data.imagenet.index import INDEX, read_index
from alexnet_dist.data.imagenet.layouts import find_layout
from alexnet_dist.data.imagenet.open_parts import labels_of
from alexnet_dist.errors import UsageError


def prepared(source: Path, target: Path, *flags: str) -> Path:
    assert cli.main(["data", "prepare", "image_folder", str(source), str(target), *flags]) == 0
    return target


def contents(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def folder(photographs: Path, tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", photographs, classes=3, each=10, side=300)


@pytest.mark.parametrize("kind", ["jpeg", "raw"])
def test_prepared_images_are_those_of_the_files(kind: str, folder: Path, tmp_path: Path) -> None:
    (folder / "c1/image5.JPEG").write_bytes(b"junk")
    (folder / "c1/deeper").mkdir()
    (folder / "c1/image4.JPEG").rename(folder / "c1/deeper/image4.png")
    target = prepared(folder, tmp_path / "target", "--format", kind, "--shard_samples", "7", "--quality", "95")
    index, theirs = read_index(target), opened(folder)
    ours = opened(target, workers=2)
    assert list(index.parts["train"].left_out.values()) == ["no image"]
    for (pixels, labels), (files, file_labels) in zip(all_of(ours), all_of(theirs), strict=True):
        kept = [
            number for number in range(len(files)) if number == 0 or not torch.equal(files[number], files[number - 1])
        ]
        files, file_labels = files[kept], file_labels[kept]  # without the one that stood in for the broken one
        assert torch.equal(labels, file_labels)
        difference = (pixels.int() - files.int()).abs().float()
        assert difference.max() == 0 if kind == "raw" else difference.mean() < 3
    names = (target / "train.txt").read_text().splitlines()
    assert len(names) == index.parts["train"].samples == 29 - index.parts["test"].samples
    if kind == "jpeg":
        with tarfile.open(target / index.parts["train"].shards[0].name) as archive:
            assert archive.getnames() == names[: len(archive.getnames())]
    else:
        shard = np.load(target / index.parts["train"].shards[0].name)
        assert np.array_equal(shard, all_of(ours)[0][0][: len(shard)].permute(0, 2, 3, 1).numpy())


def test_the_same_bytes_with_any_number_of_workers(folder: Path, tmp_path: Path) -> None:
    (folder / "c0/image3.JPEG").write_bytes(b"")
    flags = ["--shard_samples", "8", "--size", "64"]
    found = [contents(prepared(folder, tmp_path / n, "--workers", n, *flags)) for n in ("1", "2", "8")]
    assert found[0] == found[1] == found[2] and len(found[0]) > 8


def test_statistics_are_those_of_numpy(folder: Path, tmp_path: Path) -> None:
    target = prepared(folder, tmp_path / "target", "--format", "raw", "--size", "48")
    samples = opened(target).train
    pixels = samples.batch(torch.arange(len(samples)))[0].permute(0, 2, 3, 1).numpy()
    index, found = read_index(target), samples.statistics()
    np.testing.assert_allclose(index.mean, pixels.reshape(-1, 3).mean(0), rtol=1e-12)
    np.testing.assert_allclose(index.covariance, np.cov(pixels.reshape(-1, 3).T, ddof=0), rtol=1e-10)
    np.testing.assert_allclose(found.mean_image.permute(1, 2, 0).numpy(), pixels.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(found.covariance.numpy(), np.array(index.covariance))


def test_killed_at_random_moments_and_taken_up_again(photographs: Path, tmp_path: Path) -> None:
    flags = ["--shard_samples", "10"]
    expected = contents(prepared(photographs, tmp_path / "whole", *flags))
    target = tmp_path / "killed"
    words = ["data", "prepare", "image_folder", str(photographs), str(target), *flags]
    line = [sys.executable, "-m", "alexnet_dist.cli", *words]

    def shards() -> int:
        return len(list(target.glob(".prepare/*.npz")))

    for workers in ("2", "8"):
        before = shards()
        process = subprocess.Popen([*line, "--workers", workers], stdout=subprocess.DEVNULL)
        while shards() == before:
            time.sleep(0.01)
        time.sleep(random.random() / 4)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the machine is too fast for this test"
        assert not (target / INDEX).exists()
    for read in (find_layout, read_index):  # its shards would pass for archives of classes
        with pytest.raises(UsageError, match="its preparation is not finished: the same data prepare goes on with it"):
            read(target)
    prepared(photographs, target, *flags)
    assert contents(target) == expected


def test_what_is_there_is_left_alone(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = prepared(folder, tmp_path / "target", "--size", "32")
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    prepared(folder, target, "--size", "32")
    words = ["data", "prepare", "image_folder", str(folder), str(target)]
    assert cli.main([*words, "--size", "33"]) == 2
    assert "has other images, or the same with other settings" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in target.iterdir()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("")
    assert cli.main([*words[:-1], str(tmp_path / "mine")]) == 2
    assert "DST: " in (said := capsys.readouterr().err) and "is not empty" in said
    assert cli.main([*words[:-1], "/proc/nowhere/target"]) == 2
    assert "DST: /proc/nowhere/target: " in capsys.readouterr().err
    (folder / "c0/image0.JPEG").write_bytes(b"")
    assert cli.main([*words[:-1], str(tmp_path / "refused"), "--broken", "refuse"]) == 2
    assert not list((tmp_path / "refused").rglob("*.part"))
    assert "SRC: c0/image0.JPEG: cannot be read (empty)" in capsys.readouterr().err


def test_a_folder_inside_the_source_and_images_of_which_none_can_be_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "prepare", "image_folder", str(folder)]
    assert cli.main([*words, str(folder / "prepared")]) == 2
    assert "is a class of SRC" in capsys.readouterr().err and not (folder / "prepared").exists()
    for path in folder.glob("*/*.JPEG"):
        path.write_bytes(b"")
    assert cli.main([*words, str(tmp_path / "target")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: SRC: c0/image") and line.endswith("nor can any other of the train images")


def test_names_that_are_not_in_utf_8(folder: Path, tmp_path: Path) -> None:
    for number in range(12):
        Path(os.fsdecode(os.fsencode(folder / "c0/image") + b"\xfe%d.JPEG" % number)).write_bytes(b"junk")
    words = ["data", "prepare", "image_folder", str(folder)]
    done = preloaded.command(*words, str(tmp_path / "target"))
    assert done.returncode == 0 and "left out: c0/image" in done.stdout
    Path(os.fsdecode(os.fsencode(folder / "class") + b"\xff")).mkdir()
    done = preloaded.command(*words, str(tmp_path / "refused"))
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: SRC: ") and line.endswith("is a class's name, and not in UTF-8: rename it")
    assert done.returncode == 2 and not (tmp_path / "refused").exists()


def test_verifying_names_what_differs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = prepared(folder, tmp_path / "target", "--shard_samples", "10", "--size", "32")
    assert cli.main(["data", "verify", str(target)]) == 0
    assert "all 9 files as they were written" in capsys.readouterr().out
    with (target / "train-00001.tar").open("r+b") as file:
        file.seek(700)
        file.write(b"x")
    (target / "mean.npy").unlink()
    with (target / "test.txt").open("a") as file:
        file.write("x")
    assert cli.main(["data", "verify", str(target)]) == 1
    printed = capsys.readouterr()
    assert "3 of 9 files differ from the index" in printed.err
    for words in ("mean.npy: No such file", "test.txt: ", "train-00001.tar: its contents are not those"):
        assert words in printed.out
    with pytest.raises(UsageError, match=r"^data.root: .*/mean.npy: cannot be read \(No such file or directory\): "):
        opened(target)
    (target / "mean.npy").touch()
    with pytest.raises(
        UsageError, match=r"^data.root: .*/mean.npy: has 0 bytes of 24,704: see alexnet-dist data verify"
    ):
        opened(target)


def test_an_index_of_another_version_is_refused(folder: Path, tmp_path: Path) -> None:
    target = prepared(folder, tmp_path / "target", "--size", "32")
    (target / INDEX).write_text((target / INDEX).read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UsageError, match="is no index of format 1"):
        opened(target)
    (target / INDEX).write_text("{}")
    with pytest.raises(UsageError, match=r"is no index of format 1 \(format: Field required\)"):
        opened(target)
    shutil.rmtree(target)


@pytest.mark.parametrize(
    "change, line",
    [
        (lambda index: index["parts"].pop("test"), r"index.json: is no index of format 1 \(parts: .* train and test\)"),
        (lambda index: index["classes"].clear(), r"index.json: is no index of format 1 \(classes: "),
        (
            lambda index: index["classes"].pop(),
            r"train.npy: \d+ of \d+ entries are wrong: see alexnet-dist data verify",
        ),
        (lambda index: index["parts"]["test"].update(samples=9), r"test.npy: has int64 \(\d+, 4\), not int64 \(9, 4\)"),
        (lambda index: index["parts"]["train"]["shards"].clear(), r"train.npy: \d+ of \d+ entries are wrong"),
    ],
)
def test_an_index_that_does_not_fit_the_rest_is_refused(
    change: Callable[[Any], object], line: str, folder: Path, tmp_path: Path
) -> None:
    target = prepared(folder, tmp_path / "target", "--size", "32")
    index = json.loads((target / INDEX).read_text())
    change(index)
    (target / INDEX).write_text(json.dumps(index))
    with pytest.raises(UsageError, match=f"^data.root: .*/{line}"):
        opened(target)


def test_a_damaged_table_is_refused_and_a_pipe_in_place_of_a_shard_is_not_waited_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = prepared(folder, tmp_path / "target", "--size", "32")
    table = target / "test.npy"
    whole = table.read_bytes()
    huge = whole.replace(b"(", b"(9999999999999", 1)
    for damaged in (bytes(len(whole)), b"PK\3\4" + whole[4:], whole.replace(b"}", b" ", 1), huge):
        table.write_bytes(damaged[: len(whole)])
        with pytest.raises(
            UsageError, match=r"^data.root: .*/test.npy: cannot be read \(.*\): see alexnet-dist data verify"
        ):
            opened(target)
    (target / "test-00000.tar").unlink()
    os.mkfifo(target / "test-00000.tar")
    assert cli.main(["data", "verify", str(target)]) == 1
    assert "test-00000.tar: 0 bytes of " in capsys.readouterr().out


def test_the_contact_sheet(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    sheet = tmp_path / "sheet.png"
    assert cli.main(["data", "show", str(folder), "--output", str(sheet)]) == 0
    printed = capsys.readouterr().out
    assert "c0" in printed and "30" not in printed.split("all")[0]
    with Image.open(sheet) as image:
        assert image.height == 3 * 100 + 4
        tile = np.asarray(image.convert("RGB"))[4:100, 150:246]
    first = opened(folder).train.batch(torch.tensor([0]))[0]
    small = torch.nn.functional.interpolate(first, 96, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(tile, small)


def test_a_contact_sheet_without_an_ending(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "show", str(folder), "--output", "sheet"]) == 2
    remedy = "is of no format that Pillow writes: end its name in .png"
    assert capsys.readouterr().err == f"error: --output: sheet: {remedy}\n"


def test_a_caption_has_letters_beyond_ascii(folder: Path) -> None:
    """A font without them draws the same box for each."""
    samples = opened(folder).train
    sheets = [contact_sheet(samples, labels_of(samples), [letter, "b", "c"]) for letter in "äж"]
    one, other = (np.asarray(sheet)[:20, :150] for sheet in sheets)
    assert not np.array_equal(one, other)
