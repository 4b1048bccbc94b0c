"""What a finished shard adds to the index and to the statistics, kept on the disk until the whole set is finished."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from alexnet_dist.data.imagenet.encode import Sums
from alexnet_dist.data.imagenet.index import File, write_whole
from alexnet_dist.data.imagenet.random_reads import Numbers


@dataclass
class ShardEntries:
    """What a finished shard adds to the index, the table and the names of its part.

    Attributes:
        sums: over its images.
        places: (offset, length, label) by image.
        names: by image, as in the archive.
        left_out: why images could not be read, by path.
    """

    sums: Sums
    places: list[tuple[int, int, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def table(self, shard: int) -> Numbers:
        """Rows of the part's table, int64 (images, 4)."""
        places = np.asarray(self.places, np.int64).reshape(-1, 3)
        return np.insert(places, 0, shard, axis=1)

    def save(self, path: Path, file: File) -> None:
        """Write the entries into a file, from which an interrupted preparation goes on.

        Args:
            file: the shard that is finished.
        """
        texts = json.dumps({"file": file.model_dump(), "names": self.names, "left_out": self.left_out})
        buffer = io.BytesIO()
        np.savez(
            buffer,
            texts=np.array(texts),
            places=np.asarray(self.places, np.int64).reshape(-1, 3),
            images=np.int64(self.sums.images),
            pixels=self.sums.pixels,
            products=self.sums.products,
        )
        write_whole(path, buffer.getvalue())


def load_entries(path: Path) -> tuple[ShardEntries, File]:
    with np.load(path) as arrays:
        texts = json.loads(str(arrays["texts"]))
        sums = Sums(int(arrays["images"]), arrays["pixels"], arrays["products"])
        places = [tuple(row) for row in arrays["places"].tolist()]
    return ShardEntries(sums, places, texts["names"], texts["left_out"]), File(**texts["file"])
