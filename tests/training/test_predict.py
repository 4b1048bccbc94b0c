"""Classes of image files, as a user asks for them."""

import os
from pathlib import Path

import preloaded
import pytest
import torch
from PIL import Image

from alexnet_dist.data.sets.fashion_mnist import CLASS_NAMES, read_fashion_mnist
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.errors import UsageError
from alexnet_dist.training.checkpoints import reader
from alexnet_dist.training.trained_net import load_trained_net


def test_classes_are_those_that_the_net_computes_and_bad_files_are_named(
    smoke_run: Path, fashion_mnist: Path, tmp_path: Path
) -> None:
    pixels = read_fashion_mnist(str(fashion_mnist))["t10k"][0][:2]
    Image.fromarray(pixels[0, 0].numpy()).save("grey.png")
    Image.fromarray(pixels[1, 0].numpy()).convert("RGB").save("colour.bmp")
    Image.fromarray(pixels[1, 0].numpy().astype("uint16") * 257).save("deep.png")
    Image.new("1", (20_000, 9_000)).save("huge.png")
    Path("broken.png").write_bytes(Path("grey.png").read_bytes()[:100])
    os.mkfifo("pipe.png")
    names = ["grey.png", "missing.png", "broken.png", "deep.png", "huge.png", ".", "pipe.png", "colour.bmp"]
    done = preloaded.command("predict", "--checkpoint", str(smoke_run), *names)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: IMAGE: missing.png: No such file or directory",
        "error: IMAGE: broken.png: is not an image that Pillow reads",
        "error: IMAGE: deep.png: has more than 8 bits a channel: convert it first",
        "error: IMAGE: huge.png: has more than 178,956,970 pixels: scale it down first",
        "error: IMAGE: .: Is a directory",
        "error: IMAGE: pipe.png: is no file, but a pipe or a device",
    ]
    net = load_trained_net(smoke_run).net
    with torch.no_grad():
        probabilities = net(InputTransform(32, torch.float32)(pixels)).softmax(1)
    expected = []
    for name, row in zip(("grey.png", "colour.bmp"), probabilities, strict=True):
        best = row.topk(5)
        expected.append(name)
        for probability, i in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            expected.append(f"  {probability:8.2%}  {CLASS_NAMES[i]}")
    assert done.stdout.splitlines() == expected


def test_a_checkpoint_is_named_by_itself_its_run_or_the_folder_between(smoke_run: Path, tmp_path: Path) -> None:
    (newest, *_) = reader.find(smoke_run)
    assert [reader.find(path)[0] for path in (newest, newest.parent)] == [newest, newest]
    for name, advice in {
        "net.safetensors": "a file of weights is for --net.weights",
        "net": "nor a run that has one",
        "step-000000005": "is neither a checkpoint",  # mistyped: it is not damaged
    }.items():
        with pytest.raises(UsageError, match=advice):
            reader.find(tmp_path / name)


def test_a_checkpoint_deleted_before_it_is_read_is_not_called_damaged(tmp_path: Path) -> None:
    """By its own run, which is under way; the advice for damaged ones is to train anew."""
    told: list[str] = []
    with pytest.raises(UsageError, match="is gone by now; a run under way deletes older ones: start again"):
        reader.first_undamaged([tmp_path / "step-000000005"], told.append)
    assert not told


def test_the_first_layers_kernels(smoke_run: Path, tmp_path: Path) -> None:
    done = preloaded.command("filters", str(smoke_run), "--output", "filters.png")
    assert done.returncode == 0 and done.stdout.startswith("filters.png: ") and "colour" not in done.stdout
    with Image.open("filters.png") as image:
        assert image.size[0] > 100
    again = preloaded.command("filters", str(smoke_run), "--output", "filters.png")
    assert again.returncode == 2 and again.stderr.startswith("error: --output: filters.png: exists already")
