"""Pictures of the first layer's kernels during a run: in its folder, in W&B's file, in TensorBoard's."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import SMOKE, Train
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_file import contents

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, warnings
from alexnet_dist.nets.filters import colour_by_tower, picture
from alexnet_dist.training.trained_net import load_trained_net

FLAGS = [*SMOKE, "--data.name", "synthetic", "--data.samples", "128", "--net.channels", "3", "--train.max_steps", "5"]
FLAGS += ["--train.epochs", "9", "--train.evaluate", "false", "--checkpoint.every_steps", "1", "--checkpoint.keep", "9"]
FLAGS += ["--tracking.with", "wandb,tensorboard", "--strategy.name", "split"]
STEPS = (4, 5)  # the second epoch of two steps each, and the end


def pixels(file: Path | io.BytesIO) -> NDArray[np.uint8]:
    return np.asarray(Image.open(file).convert("RGB"))


def test_pictures_in_the_folder_and_in_the_trackers(train: Train) -> None:
    run = train(2, [*FLAGS, "--tracking.filters_every", "2"])
    assert run.code == 0 and "warning" not in run.output, run.output
    pictures = sorted((run.folder / "filters").iterdir())
    assert [path.name for path in pictures] == [f"step-{step:09d}.png" for step in STEPS]
    nets = [load_trained_net(run.folder / f"checkpoints/step-{step:09d}").net for step in STEPS]
    kernels = [net.get_parameter("conv1.weight").detach() for net in nets]
    for path, some in zip(pictures, kernels, strict=True):
        assert np.array_equal(pixels(path), np.asarray(picture(some, towers=2)))
    assert not np.array_equal(pixels(pictures[0]), pixels(pictures[1]))

    (file,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    rows = [row for row in contents(file)["history"] if "filters.path" in row]
    assert [row["_step"] for row in rows] == list(STEPS)
    for row, path, some in zip(rows, pictures, kernels, strict=True):
        assert row["filters._type"] == "image-file"
        assert np.array_equal(pixels(file.parent / "files" / row["filters.path"]), pixels(path))
        logged = [row[f"filters/colour_{tower}"] for tower in (1, 2)]
        assert logged == pytest.approx([mean for mean, _ in colour_by_tower(some, 2)])

    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    images = events.Images("filters")
    assert [image.step for image in images] == list(STEPS)
    for image, path in zip(images, pictures, strict=True):
        assert np.array_equal(pixels(io.BytesIO(image.encoded_image_string)), pixels(path))


def test_kernels_without_colours_are_told() -> None:
    found = warnings(resolve(load(["--data.name=synthetic", "--net.channels=4", "--tracking.filters_every=1"]), 1))
    assert found == ["tracking.filters_every has no effect with net.channels 4: a picture has 1 or 3"]
