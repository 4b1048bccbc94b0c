"""Every choice of every field is implemented: a word known only to the schema would silently train something else."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from PIL import Image

from alexnet_dist import registry
from alexnet_dist.commands.export import ExportFlags
from alexnet_dist.compare.config import Comparison
from alexnet_dist.config.fields import choices, fields_of, marks
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import NORMALISATIONS, resolve, table_of
from alexnet_dist.config.schema import DataConfig, NetConfig
from alexnet_dist.config.values import OneOf
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.errors import RankFailed, UsageError
from alexnet_dist.nets.alexnet import Activation
from alexnet_dist.nets.table import ACTIVATIONS, Exchange, Norm, Table
from alexnet_dist.nets.table import Activation as ActivationRow
from alexnet_dist.strategies.base import wire_bytes
from alexnet_dist.training.export import FORMATS

FIELDS = {
    f"{group}.{field}": detail
    for group, info in Comparison.model_fields.items()
    for field, detail in fields_of(info).items()
    if choices(detail)
}


def table(*flags: str) -> Table:
    return table_of(resolve(load(["--net.name", "alexnet_2012", "--data.name", "synthetic", *flags]), 1).net)


def check_activation(word: str) -> None:
    x = torch.linspace(-2, 2, 9)
    expected = {"relu": x.clamp(min=0), "tanh": 1 - 2 / (1 + (2 * x).exp())}[word]
    torch.testing.assert_close(Activation(word)(x.clone()), expected)
    functions = {layer.function for layer in table("--net.activation", word).layers if isinstance(layer, ActivationRow)}
    assert functions == {word}


def check_exchange(word: str) -> None:
    layers = table("--net.exchange", word).layers
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Exchange) and not layer.logits]
    assert len(places) == 1 and layers[places[0] + 1].name == word


def check_follows(word: str) -> None:
    orders = {"code": ["norm1", "pool1", "relu1"], "paper": ["relu1", "norm1", "pool1"]}
    names = [layer.name for layer in table("--net.follows", word).layers]
    assert names[1:4] == orders[word]


def check_normalise(word: str) -> None:
    values = resolve(
        load(["--data.normalise", word, "--net.channels", "3", "--data.name", "synthetic"]), 1
    ).data.normalise
    assert values == NORMALISATIONS.get(word, word)
    pixels = torch.arange(3 * 8 * 8, dtype=torch.uint8).view(1, 3, 8, 8)
    data, mean_image = DataConfig(normalise=values), torch.full((3, 8, 8), 7.0)
    made = InputTransform.of(data, 8, torch.float32, mean_image)(pixels)
    channels = torch.tensor(NORMALISATIONS["imagenet"]).view(2, 1, 3, 1, 1)
    expected = {
        "none": pixels / 255,
        "mean_image": pixels - 7.0,
        "imagenet": (pixels / 255 - channels[0]) / channels[1],
    }
    torch.testing.assert_close(made, expected[word])


def check_broken(word: Any) -> None:
    from image_files import all_of, opened

    with TemporaryDirectory() as folder:
        for name in ("a/1", "a/2", "b/1", "b/6"):  # 6 is of the test part
            path = Path(folder, f"{name}.png")
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (9, 9)).save(path)
        Path(folder, "a/1.png").write_bytes(b"")
        parts = opened(Path(folder), broken=word)
        if word == "skip":
            assert len(all_of(parts)) == 2
        else:
            with pytest.raises(RankFailed, match="cannot be read"):
                all_of(parts)


def check_views(word: str) -> None:
    crop, images = DataConfig(crop=6), torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    transform = InputTransform.of(crop, 6, torch.float32)
    inputs = {"1": [transform(images)], "10": list(transform.views(images))}[word]
    assert len({tuple(image.flatten().tolist()) for image in inputs}) == int(word)
    flags = ["--train.evaluate_views", word, "--data.crop=24"]
    assert resolve(load(flags), 1).train.evaluate_views == int(word)


def check_dtype(word: str) -> None:
    assert (
        wire_bytes(load(["--strategy.gradient_dtype", word, "--train.precision", "fp64"]))
        == {"fp32": 4, "bf16": 2}[word]
    )


def check_scaling(word: str) -> None:
    from alexnet_dist.compare.cases import list_cases
    from alexnet_dist.compare.config import load_comparison

    flags = ["--strategies", "ddp", "--ranks", "2", "--global-batches", "8", "--scaling", word]
    assert [case.global_batch for case in list_cases(load_comparison(flags))] == [{"strong": 8, "weak": 16}[word]]


IMPLEMENTED: dict[str, Callable[[str], None]] = {
    "net.activation": check_activation,
    "net.exchange": check_exchange,
    "net.follows": check_follows,
    "data.normalise": check_normalise,
    "data.broken": check_broken,
    "strategy.gradient_dtype": check_dtype,
    "train.evaluate_views": check_views,
    "compare.scaling": check_scaling,
}


def names_a_registry(field: str) -> bool:
    """Whether what a field names is an object that does it."""
    return any(isinstance(mark, OneOf) for mark in marks(FIELDS[field]))


def test_every_field_with_choices_is_known_here() -> None:
    assert {field for field in FIELDS if not names_a_registry(field)} == set(IMPLEMENTED)


@pytest.mark.parametrize("field, word", [(field, word) for field in IMPLEMENTED for word in choices(FIELDS[field])])
def test_a_choice_does_what_it_says(field: str, word: str) -> None:
    IMPLEMENTED[field](word)


def test_what_a_registry_names_can_be_loaded() -> None:
    for strategy in registry.strategies:
        assert registry.load(strategy.engine)
    for augmentation in registry.augmentations:
        assert registry.load(augmentation.augmenter)
    for net in registry.nets:
        assert net.table(net.defaults).parameters > 0


def test_the_formats_of_export_are_those_that_are_written() -> None:
    assert choices(ExportFlags.model_fields["format"]) == list(FORMATS)


def test_a_function_that_no_module_computes_is_refused() -> None:
    assert set(ACTIVATIONS) == set(choices(NetConfig.model_fields["activation"]))
    with pytest.raises(UsageError, match="did you mean tanh"):
        ActivationRow("act1", "tan")
    with pytest.raises(KeyError):
        Activation("gelu")


@pytest.mark.parametrize("size", [0, -1, 2, 4])
def test_an_even_norm_window_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=r"size of norm1.*must be odd"):
        Norm("norm1", size=size)
    from alexnet_dist.kernels.response_norm import response_norm

    with pytest.raises(ValueError, match="must be odd"):
        response_norm(torch.ones(1, 8, 2, 2), 8, size, 1e-4, 0.75, 2.0)


@pytest.mark.parametrize("maps", [0, -8, 3, 16])
def test_channels_that_towers_cannot_share_are_refused(maps: int) -> None:
    """16 divides the number of values, though not that of channels: windows would reach into the next pixel."""
    from alexnet_dist.kernels.response_norm import response_norm

    with pytest.raises(ValueError, match=f"maps is {maps}: the 8 channels must be a multiple of it"):
        response_norm(torch.ones(1, 8, 2, 2), maps, 5, 1e-4, 0.75, 2.0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_a_norm_of_other_than_floating_values_is_refused(dtype: torch.dtype) -> None:
    from alexnet_dist.kernels.response_norm import response_norm

    with pytest.raises(ValueError, match=f"x is {dtype}: its dtype must be floating"):
        response_norm(torch.ones(1, 8, 2, 2, dtype=dtype), 8, 5, 1e-4, 0.75, 2.0)
