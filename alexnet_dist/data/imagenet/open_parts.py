"""Opens image files, as they are or prepared, as the two parts of a data set."""

from dataclasses import dataclass
from pathlib import Path

import torch

from alexnet_dist.config.schema import DataConfig
from alexnet_dist.data.dataset import Parts, Samples
from alexnet_dist.data.imagenet.batches import BatchReader, Broken
from alexnet_dist.data.imagenet.index import INDEX, read_index
from alexnet_dist.data.imagenet.layouts import find_layout
from alexnet_dist.data.imagenet.listing import list_images
from alexnet_dist.data.imagenet.prepared import PreparedSamples, SampleTable
from alexnet_dist.data.imagenet.random_reads import Numbers
from alexnet_dist.data.imagenet.samples import ImageSamples
from alexnet_dist.data.imagenet.sources import Source
from alexnet_dist.data.imagenet.threads import RowThreads, decoding_threads
from alexnet_dist.data.imagenet.verify import check_sizes

SIZE = 256  # height and width in a batch, where stored images have any size


def open_parts(root: Path, settings: DataConfig, device: torch.device) -> Parts:
    """
    Raises:
        UsageError: files are missing or damaged.
    """
    opener = _Opener(device, decoding_threads(settings.workers, device), Broken(settings.broken == "refuse", {}))
    return opener.prepared(root) if (root / INDEX).is_file() else opener.files(root)


def labels_of(samples: Samples) -> Numbers:
    """Of every sample of a part that `open_parts` opened."""
    assert isinstance(samples, ImageSamples | PreparedSamples)
    return samples.labels


@dataclass(frozen=True)
class _Opener:
    device: torch.device
    threads: RowThreads
    broken: Broken

    def files(self, root: Path) -> Parts:
        listing = list_images(find_layout(root))

        def part(source: Source, replace: bool) -> ImageSamples:
            reader = BatchReader(source.labels, source.name, self.device, self.threads, self.broken, replace)
            return ImageSamples(source, reader, SIZE)

        return self._parts(root, part(listing.train, True), part(listing.test, False), len(listing.classes))

    def prepared(self, root: Path) -> Parts:
        index = read_index(root)
        check_sizes(root, index)

        def part(name: str, replace: bool) -> PreparedSamples:
            table = SampleTable.of(root, index, name)
            labels = table.rows[:, 3]
            reader = BatchReader(labels, table.name, self.device, self.threads, self.broken, replace)
            return PreparedSamples(root, index, table, reader)

        return self._parts(root, part("train", True), part("test", False), len(index.classes))

    def _parts(
        self, root: Path, train: ImageSamples | PreparedSamples, test: ImageSamples | PreparedSamples, classes: int
    ) -> Parts:
        images = f"{len(train):,} training and {len(test):,} test images of {classes} classes"
        about = f"{root}: {images}; decoding: {self.threads}"
        workers = min(2, self.threads.count)
        return Parts(train, test, about=about, workers=workers, unreadable=self.broken.reasons)
