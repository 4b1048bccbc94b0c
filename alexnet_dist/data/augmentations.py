"""The values of `data.augment`: which settings each reads, and where its code is, which imports torch."""

from collections.abc import Callable
from dataclasses import dataclass

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig


def _never(settings: DataConfig) -> bool:
    return False


def _no_warnings(settings: DataConfig, height: int, width: int) -> list[str]:
    return []


def _squares_warnings(settings: DataConfig, height: int, width: int) -> list[str]:
    crop, padding = settings.crop or min(height, width), 2 * settings.crop_padding
    if max(height, width) + padding > crop:
        return []
    return [
        f"data.crop: {settings.crop or 'null'} leaves data.augment alexnet no squares to choose from: images have "
        f"{height} x {width} pixels; choose less"
    ]


@dataclass(frozen=True)
class Augmentation:
    """One value of `data.augment`.

    Attributes:
        name: in settings.
        augmenter: dotted path of its `Augmenter`.
        unused: fields of `data` that have no effect.
        needs_statistics: whether it needs those of the training images.
        warnings: settings without effect on images of a height and width, one line each.
    """

    name: str
    augmenter: str
    unused: tuple[str, ...]
    needs_statistics: Callable[[DataConfig], bool] = _never
    warnings: Callable[[DataConfig, int, int], list[str]] = _no_warnings


for _augmentation in (
    Augmentation(
        "none",
        "alexnet_dist.data.augment.unchanged:Unchanged",
        ("crop_padding", "colour_noise", "min_area", "colour_jitter"),
    ),
    Augmentation(
        "alexnet",
        "alexnet_dist.data.augment.alexnet:AlexNetAugmenter",
        ("min_area", "colour_jitter"),
        lambda settings: settings.colour_noise > 0,
        _squares_warnings,
    ),
    Augmentation(
        "inception", "alexnet_dist.data.augment.inception:InceptionAugmenter", ("crop_padding", "colour_noise")
    ),
):
    registry.augmentations.register(_augmentation)
