"""Ways to load images, each measured in a process of its own on given cores.

    python -m alexnet_dist.bench.loaders files --root FOLDER --cores 0 --images 3000 --output rate.json

writes `Rates` to --output. All ends with batches on the host: ours with bytes, as they go to the
device; the usual one with fp32, as is usual.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from alexnet_dist import registry
from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.ahead import in_order
from alexnet_dist.data.augment.base import Augmenter
from alexnet_dist.data.imagenet.open_parts import open_parts
from alexnet_dist.data.transforms import InputTransform
from alexnet_dist.distributed.host_cpu import keep_freed_memory
from alexnet_dist.rng import Rng

BATCH, SIZE, PREFETCH = 128, 224, 2
WARM_UP = 4  # batches
Batches = Iterable[tuple[Tensor, Tensor]]


def usual(root: Path, cores: int, images: int) -> Batches:
    """torchvision's usual way: PIL's decoder and transforms, one image at a time, in the processes of a DataLoader."""
    from torch.utils.data import DataLoader, RandomSampler
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    transform = transforms.Compose(
        [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )
    folder = ImageFolder(os.fspath(root), transform)
    return DataLoader(folder, BATCH, sampler=RandomSampler(folder, True, images), num_workers=cores, drop_last=True)


def files(root: Path, cores: int, images: int) -> Batches:
    """Ours, from image files: random resized crops, mirrored or not."""
    return _ours(root, cores, images, DataConfig(augment="inception", colour_jitter=0.0, workers=cores))


def prepared(root: Path, cores: int, images: int) -> Batches:
    """Ours, from shards: random squares, mirrored or not."""
    return _ours(root, cores, images, DataConfig(augment="alexnet", colour_noise=0.0, crop=SIZE, workers=cores))


def _ours(root: Path, cores: int, images: int, settings: DataConfig) -> Batches:
    """Batches as training prepares them, up to the change of bytes into the net's input."""
    samples, rng = open_parts(root, settings, torch.device("cpu")).train, Rng(0)
    make: type[Augmenter] = registry.load(registry.augmentations[settings.augment].augmenter)
    augmenter = make(settings, InputTransform(SIZE, torch.float32, settings.crop), rng, None)

    def load(epoch: int) -> tuple[Tensor, Tensor]:
        ids = torch.randint(len(samples), (BATCH,))
        draws = augmenter.draw(epoch, ids)
        pixels, labels = augmenter.read(samples, ids, draws)
        return augmenter.change(pixels, draws), labels

    work = (partial(load, epoch) for epoch in range(images // BATCH))
    return in_order(work, min(PREFETCH, cores), PREFETCH, "loader")


@dataclass(frozen=True)
class Rates:
    """How fast images were loaded.

    Attributes:
        wall: images per second, after the first batches.
        cpu: images per second of CPU time, over all batches; other programs on the machine disturb it less.
    """

    wall: float
    cpu: float


def measured(batches: Batches) -> Rates:
    """Load all batches. Processes that load count with this one."""
    before, began = _cpu_seconds(), 0.0
    images = timed = 0
    for number, (_, labels) in enumerate(batches):
        if number == WARM_UP:
            began, timed = time.perf_counter(), 0
        images, timed = images + len(labels), timed + len(labels)
    wall = time.perf_counter() - began
    return Rates((timed - BATCH) / wall, images / (_cpu_seconds() - before))


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


PROGRAMS: dict[str, Callable[[Path, int, int], Batches]] = {"usual": usual, "files": files, "prepared": prepared}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--cores", type=int, nargs="+", required=True, help="of those that there are, from 0")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [available[core] for core in given.cores])
    torch.set_num_threads(1)
    keep_freed_memory()  # as training on a CPU does
    batches = PROGRAMS[given.program](given.root, len(given.cores), given.images + WARM_UP * BATCH)
    given.output.write_text(json.dumps(asdict(measured(batches))))


if __name__ == "__main__":
    main()
