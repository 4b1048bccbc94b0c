"""Times what makes a net's input of a batch of training images, beside torchvision's v2 transforms on the same batch.

One thread, images of 256 x 256 in memory, inputs of 224 x 224 in fp32. v2 changes one image at a time, as in a data
set's `__getitem__`: given a whole batch, its transforms would change all images alike.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet_dist import registry
from alexnet_dist.config.resolve import NORMALISATIONS
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.augment.alexnet import principal_components
from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.dataset import InMemory, Samples
from alexnet_dist.data.statistics import Statistics, measure
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.host_cpu import keep_freed_memory
from alexnet_dist.rng import Rng

STORED, SIZE = 256, 224
IMAGENET = NORMALISATIONS["imagenet"]
Make = Callable[[], Tensor]  # of a batch, fp32 (rows, 3, 224, 224)

CASES = {
    "alexnet": DataConfig(augment="alexnet", crop=SIZE, normalise="mean_image"),
    "inception, no jitter": DataConfig(augment="inception", normalise=IMAGENET, colour_jitter=0.0),
    "inception": DataConfig(augment="inception", normalise=IMAGENET),
}


@dataclass(frozen=True)
class Batch(Samples):
    """Images that form one batch: reading them costs nothing."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.pixels, self.labels

    def statistics(self) -> Statistics:
        return measure(InMemory(self.pixels, self.labels))


@dataclass(frozen=True)
class Times:
    """Milliseconds of CPU time a batch, a round each."""

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Of each round: theirs over ours."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]


def measure_augmentation(batch: int, rounds: int, batches: int) -> dict[str, Times]:
    """Time all cases; the two sides take turns.

    Args:
        batch: images.
        batches: of one side in a round.
    """
    keep_freed_memory()  # as training on a CPU does
    torch.set_num_threads(1)
    images, found = images_of_noise(batch), {}
    for name, settings in CASES.items():
        sides = ours(images, settings), theirs(images, settings)
        # The first round is a warm-up.
        (_, *mine), (_, *others) = zip(
            *([_milliseconds(side, batches) for side in sides] for _ in range(rounds + 1)), strict=True
        )
        found[name] = Times(mine, others)
    return found


def ours(samples: Batch, settings: DataConfig) -> Make:
    """As training makes inputs: of all of a set's images."""
    measured, ids = samples.statistics(), torch.arange(len(samples))
    transform = InputTransform.of(settings, SIZE, torch.float32, measured.mean_image)
    make: type[Augmenter] = registry.load(registry.augmentations[settings.augment].augmenter)
    augmenter = make(settings, transform, Rng(0), measured)
    return lambda: augmenter(samples, 0, ids)[0]


def theirs(samples: Batch, settings: DataConfig) -> Make:
    """The same with torchvision's v2, image by image; the colour noise of 2012, which v2 lacks, in plain torch."""
    from torchvision.transforms import v2

    floating = v2.ToDtype(torch.float32, scale=settings.augment == "inception")
    if settings.augment == "alexnet":
        mean = v2.functional.center_crop(samples.statistics().mean_image, [SIZE, SIZE])
        components = principal_components(samples.statistics().covariance).float() * settings.colour_noise
        noised = v2.Lambda(lambda image: image + (components @ torch.randn(3)).view(3, 1, 1) - mean)
        change = v2.Compose([v2.RandomCrop(SIZE), v2.RandomHorizontalFlip(), floating, noised])
    else:
        jitter = [v2.ColorJitter(*[settings.colour_jitter] * 3)] if settings.colour_jitter else []
        cut = v2.RandomResizedCrop(SIZE, antialias=True)
        change = v2.Compose([cut, v2.RandomHorizontalFlip(), *jitter, floating, v2.Normalize(*IMAGENET)])
    planes = list(samples.pixels.contiguous())  # as decoders give them to torchvision
    return lambda: torch.stack([change(image) for image in planes])


def images_of_noise(count: int) -> Batch:
    """Smooth noise whose colours are correlated, as in photographs."""
    generator = torch.Generator().manual_seed(0)
    light = torch.randint(0, 200, (count, 1, 16, 16), generator=generator)
    colour = torch.randint(0, 56, (count, 3, 16, 16), generator=generator)
    pixels = torch.nn.functional.interpolate((light + colour).float(), (STORED, STORED), mode="bilinear")
    return Batch(pixels.to(torch.uint8).contiguous(memory_format=torch.channels_last), torch.zeros(count))


def _milliseconds(make: Make, batches: int) -> float:
    """CPU time a batch: other programs on the machine disturb it less than wall time."""
    began = time.process_time()
    for _ in range(batches):
        make()
    return (time.process_time() - began) / batches * 1e3
