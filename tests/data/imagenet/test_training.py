"""Training on image files: the same samples and pixels for every world, across a kill, from slow and failing disks."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import launched
import preloaded
import pytest
import torch
from conftest import ROOT, train_in
from image_files import CPU, class_folders, opened
from parity_cases import hold
from run_records import metrics_of, summary_of

from alexnet_dist import cli, registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import Samples
from alexnet_dist.data.loader import Loader
from alexnet_dist.data.order import Order
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.mesh import SampleShard
from alexnet_dist.rng import Rng

NET = ["--data.name", "image_folder", "--net.name", "alexnet_small", "--net.classes", "4", "--tracking.wandb", "false"]


@pytest.fixture(scope="module")
def folder(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 training images in four classes; one of them is broken."""
    root = tmp_path_factory.mktemp("images")
    for part, each in (("train", 16), ("val", 4)):
        class_folders(root / part, photographs, classes=4, each=each)
    (root / "train/c1/image7.JPEG").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prepared") / "target"
    assert cli.main(["data", "prepare", "image_folder", str(folder), str(target), "--shard_samples", "9"]) == 0
    return target


def seen(
    samples: Samples, augment: str, shards: int, accumulate: int, workers: int, start: int = 0
) -> dict[tuple[int, int], str]:
    """By step and row of the global batch: the sample and a checksum of its pixels, over all ranks."""
    found, order, settings = {}, Order(Rng(3), len(samples), 24), DataConfig(augment=augment, crop=200)
    make = registry.load(registry.augmentations[augment].augmenter)
    augmenter = make(settings, InputTransform(64, torch.float32, 200), Rng(3), samples.statistics())
    for index in range(shards):
        shard = SampleShard(index, shards, tuple(range(shards)))
        loader = Loader(samples, order, shard, accumulate, augmenter, workers, 2, CPU)
        for number, batch in enumerate(loader.micro_batches(start, 5)):
            step = start + number // accumulate
            for row, sample, image in zip(batch.rows, batch.ids, batch.images, strict=True):
                found[step, row] = f"{int(sample)} {sha256(image.contiguous().numpy().tobytes()).hexdigest()}"
    return found


@pytest.mark.parametrize(
    "kind, augment", [("files", "none"), ("files", "inception"), ("shards", "inception"), ("shards", "alexnet")]
)
def test_every_world_sees_the_same_samples_and_pixels(kind: str, augment: str, folder: Path, prepared: Path) -> None:
    root = folder if kind == "files" else prepared
    expected = seen(opened(root).train, augment, 1, 1, 0)
    steps = {step for step, _ in expected}
    assert steps == {0, 1, 2, 3, 4} and len({row.split()[0] for row in expected.values()}) == len(opened(root).train)
    for shards, accumulate, workers in ((2, 1, 1), (2, 2, 2), (4, 1, 3), (4, 2, 4), (1, 1, 4)):
        assert seen(opened(root, workers).train, augment, shards, accumulate, workers) == expected
    late = seen(opened(root, 2).train, augment, 2, 1, 2, start=2)  # as after a resume in mid-epoch
    assert late == {place: sample for place, sample in expected.items() if place[0] >= 2}


def test_raw_shards_have_the_pixels_of_the_files(photographs: Path, tmp_path: Path) -> None:
    """Under the augmentation of 2012, colour noise included: the components, too, are the same."""
    folder = class_folders(tmp_path / "images", photographs, classes=4, each=12)
    flags = ["--format", "raw", "--shard_samples", "9"]
    assert cli.main(["data", "prepare", "image_folder", str(folder), str(tmp_path / "raw"), *flags]) == 0
    files = seen(opened(folder, 2).train, "alexnet", 2, 1, 2)
    assert len(files) > 30 and files == seen(opened(tmp_path / "raw").train, "alexnet", 1, 2, 0)


def test_the_commands_of_the_page(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "photographs").symlink_to(photographs)
    text = (ROOT / "docs/data.md").read_text()
    block = next(b for b in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if "data verify" in b)
    lines = block.splitlines()
    assert len(lines) == 6 and {"ddp", "split"} <= set(" ".join(lines).split())
    for number, line in enumerate(lines):
        words, ranks = shlex.split(line)[1:], 1
        if words[0] == "launch":
            assert words[1:4] == ["--ranks", "2", "--"]
            words, ranks = ["train", *words[4:], "--tracking.wandb", "false", "--run.dir", f"run{number}"], 2
        done = preloaded.command(*words, ranks=ranks)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "contact-sheet.png").stat().st_size > 100_000
    losses = [[step["loss"] for step in metrics_of(tmp_path / f"run{number}")] for number in (4, 5)]
    assert len(losses[0]) == 8 and losses[0] == pytest.approx(losses[1], rel=1e-4)
    summary = summary_of(tmp_path / "run4")
    assert summary["eval"]["unique_samples"] == 26 and 0 <= summary["data_wait_fraction"] < 1


def test_a_killed_run_goes_on_in_mid_epoch(folder: Path, tmp_path: Path) -> None:
    flags = [*NET, "--data.root", str(folder), "--train.global_batch", "8", "--train.epochs", "3"]
    flags += ["--data.workers", "2"]
    flags += ["--checkpoint.every_steps", "3", "--strategy.name", "ddp", "--train.evaluate", "false"]
    flags += ["--tracking.log_every", "1"]
    whole = train_in(tmp_path / "whole", flags, 2)
    assert whole.code == 0 and "  train/c1/image7.JPEG: empty" in whole.output.splitlines(), whole.output
    killed = launched.start(tmp_path / "killed", 2, flags)
    killed.wait_until(lambda: launched.checkpoint(killed.folder, 3).exists() and killed.ranks())
    killed.ranks()[1].kill()
    assert killed.end()[0] != 0
    again = launched.start(tmp_path / "killed", 2, [*flags, "--run.resume", "auto"])
    code, lines = again.end()
    assert code == 0 and any(line.startswith("resuming after step ") for line in lines), lines
    timeless = ("step", "loss", "samples", "sample_fingerprint", "epoch")
    told = [[{name: line[name] for name in timeless} for line in metrics_of(run.folder)] for run in (whole, again)]
    assert told[0] == told[1] and len(told[0]) == 24


def test_the_strategies_train_alike(prepared: Path, tmp_path: Path) -> None:
    two = {name: [("fp64", 10)] for name in ("ddp", "split")}
    hold({"images": [*NET, "--train.global_batch", "8"]}, tmp_path, {2: two}, ["--data.root", str(prepared)])


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc") or shutil.which("c++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no compiler, or not Linux")
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run([compiler, "-x", "c", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return str(library)


def test_a_disk_that_fails_once_and_one_that_goes_on_failing(disk: str, prepared: Path, tmp_path: Path) -> None:
    flags = [*NET, "--data.root", str(prepared), "--train.global_batch", "16", "--strategy.name", "single"]
    flags += ["--train.evaluate", "false", "--checkpoint.every_steps", "0"]
    slow = {"LD_PRELOAD": disk, "SLOW_MICROSECONDS": "20000", "FAIL_AFTER": "30", "FAIL_TIMES": "1"}
    code, lines = launched.start_alone(tmp_path / "once", flags, slow).end()
    assert code == 0, lines
    wait = summary_of(tmp_path / "once")["data_wait_fraction"]
    assert wait > 0.5  # twenty milliseconds an image: the figure tells that the disk is slow
    dead = {"LD_PRELOAD": disk, "FAIL_AFTER": "30"}
    code, lines = launched.start_alone(tmp_path / "dead", flags, dead).end()
    assert code == 1 and any("train-0000" in line and "Input/output error" in line for line in lines), lines
    assert os.path.exists(tmp_path / "dead/exit.json")
