"""Opens image files, as they are or prepared, as the two parts of a data set."""

from functools import partial
from pathlib import Path

import torch

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import Parts, Samples
from alexnet_dist.data.imagenet.batches import BatchReader, Broken
from alexnet_dist.data.imagenet.index import INDEX, PARTS, read_index
from alexnet_dist.data.imagenet.layouts import find_layout
from alexnet_dist.data.imagenet.listing import list_images
from alexnet_dist.data.imagenet.prepared import PreparedSamples, SampleTable
from alexnet_dist.data.imagenet.random_reads import Numbers
from alexnet_dist.data.imagenet.samples import ImageSamples
from alexnet_dist.data.imagenet.threads import decoding_threads
from alexnet_dist.data.imagenet.verify import check_sizes

SIZE = 256  # height and width in a batch, where stored images have any size
Opened = tuple[ImageSamples, ImageSamples, int] | tuple[PreparedSamples, PreparedSamples, int]  # and how many classes


def open_parts(root: Path, settings: DataConfig, device: torch.device) -> Parts:
    """Open image files or a prepared data set.

    Raises:
        UsageError: files are missing or damaged.
    """
    threads, broken = decoding_threads(settings.workers, device), Broken(settings.broken == "refuse", {})
    reader = partial(BatchReader, device=device, threads=threads, broken=broken)
    train, test, classes = _prepared(root, reader) if (root / INDEX).is_file() else _files(root, reader)
    images = f"{len(train):,} training and {len(test):,} test images of {classes} classes"
    about = f"{root}: {images}; decoding: {threads}"
    return Parts(train, test, about=about, workers=min(2, threads.count), unreadable=broken.reasons)


def _files(root: Path, reader: partial[BatchReader]) -> Opened:
    listing = list_images(find_layout(root))
    train, test = (
        ImageSamples(source, reader(source.labels, source.name, replace=source is listing.train), SIZE)
        for source in (listing.train, listing.test)
    )
    return train, test, len(listing.classes)


def _prepared(root: Path, reader: partial[BatchReader]) -> Opened:
    index = read_index(root)
    check_sizes(root, index)
    tables = {part: SampleTable.of(root, index, part) for part in PARTS}
    train, test = (
        PreparedSamples(root, index, table, reader(table.rows[:, 3], table.name, replace=part == "train"))
        for part, table in tables.items()
    )
    return train, test, len(index.classes)


def labels_of(samples: Samples) -> Numbers:
    """Of every sample of a part that `open_parts` opened."""
    assert isinstance(samples, ImageSamples | PreparedSamples)
    return samples.labels
