"""The values of `data.augment`: which settings each reads, and where its code is, which imports torch."""

from collections.abc import Callable
from dataclasses import dataclass

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig


def _never(settings: DataConfig) -> bool:
    return False


@dataclass(frozen=True)
class Augmentation:
    """One value of `data.augment`.

    Attributes:
        name: in settings.
        augmenter: dotted path of its `Augmenter`.
        unused: fields of `data` that have no effect.
        needs_statistics: whether it wants those of the training images.
    """

    name: str
    augmenter: str
    unused: tuple[str, ...]
    needs_statistics: Callable[[DataConfig], bool] = _never


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
    ),
    Augmentation(
        "inception", "alexnet_dist.data.augment.inception:InceptionAugmenter", ("crop_padding", "colour_noise")
    ),
):
    registry.augmentations.register(_augmentation)
