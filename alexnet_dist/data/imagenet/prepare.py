"""Writes a prepared data set: all images at one size, in shards, with an index and statistics.

A shard is a fixed piece of the list of images. Threads encode them, one thread writes them in their order; so the bytes
depend neither on the number of threads nor on whether the program was killed in between. What a shard adds to index and
statistics is in `.prepare` until all are written.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePath

from filelock import FileLock, Timeout

from alexnet_dist.data.ahead import in_order
from alexnet_dist.data.imagenet.encode import Piece, Sums, encode
from alexnet_dist.data.imagenet.finish import finish
from alexnet_dist.data.imagenet.index import (
    INDEX,
    PARTS,
    WORK,
    Encoding,
    Index,
    described,
    read_index,
    whole_file,
    write_whole,
)
from alexnet_dist.data.imagenet.listing import Listing
from alexnet_dist.data.imagenet.shard_entries import ShardEntries
from alexnet_dist.data.imagenet.shard_files import new_shard, suffix
from alexnet_dist.data.imagenet.sources import Source
from alexnet_dist.errors import UsageError

PLAN, LOCK = "plan", "lock"
IMAGES_IN_A_PIECE = 16


@dataclass(frozen=True)
class Shard:
    """A piece of the list of one part's images.

    Attributes:
        part: "train" or "test".
        number: in the part, from 0.
        start, stop: sample numbers.
    """

    part: str
    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.part}-{self.number:05d}"

    def __len__(self) -> int:
        return self.stop - self.start

    def pieces(self) -> Iterator[range]:
        for start in range(self.start, self.stop, IMAGES_IN_A_PIECE):
            yield range(start, min(start + IMAGES_IN_A_PIECE, self.stop))


def shards_of(part: str, samples: int, each: int) -> list[Shard]:
    return [Shard(part, i, start, min(start + each, samples)) for i, start in enumerate(range(0, samples, each))]


@dataclass(frozen=True)
class Preparation:
    """What is prepared, and how.

    Attributes:
        listing: the images.
        target: the folder.
        shard_samples: images of a shard, those that cannot be read included.
        threads: that encode.
        refuse: whether an image that cannot be read ends the preparation.
    """

    listing: Listing
    target: Path
    encoding: Encoding
    shard_samples: int
    threads: int
    refuse: bool

    def run(self, progress: Callable[[int], None]) -> Index:
        """Prepare what is not there yet.

        Args:
            progress: called with the number of images that are done.

        Returns:
            The index.

        Raises:
            UsageError: the folder holds something else, cannot be written, or is full; or an image is refused.
            RankFailed: the source's disk fails.
        """
        plan = self._plan()
        try:
            finished = self._check_target(plan)
            if finished is not None:
                return finished
            (self.target / WORK).mkdir(parents=True, exist_ok=True)
            with FileLock(self.target / WORK / LOCK, timeout=0):
                write_whole(self.target / WORK / PLAN, plan.encode())
                return self._run(plan, progress)
        except Timeout:
            raise UsageError("DST", self.target, "another process prepares there at this moment") from None
        except OSError as error:
            begun = os.path.exists(self.target / WORK / PLAN)
            remedy = "the same command goes on from here" if begun else "choose another folder"
            raise UsageError("DST", self.target, f"{error.strerror}: {remedy}") from None

    def _plan(self) -> str:
        """A checksum of all that the bytes follow from."""
        digest = sha256(repr((self.encoding, self.shard_samples, self.listing.classes)).encode())
        for part in PARTS:
            source = self._source(part)
            digest.update(source.labels.tobytes())
            for number in range(len(source)):
                digest.update(source.name(number).encode(errors="surrogateescape") + b"\0")
        return digest.hexdigest()

    def _check_target(self, plan: str) -> Index | None:
        """The index, if everything is there already."""
        if (self.target / INDEX).exists():
            index = read_index(self.target)
            if index.plan != plan:
                raise UsageError(
                    "DST", self.target, "has other images, or the same with other settings: choose another"
                )
            return index
        unfinished = self.target / WORK / PLAN
        if unfinished.exists() and unfinished.read_text() != plan:
            raise UsageError(
                "DST", self.target, "holds an unfinished preparation of other images or settings: delete it"
            )
        if not (self.target / WORK).exists() and self.target.exists() and any(self.target.iterdir()):
            raise UsageError("DST", self.target, "is not empty: choose another")
        return None

    def _run(self, plan: str, progress: Callable[[int], None]) -> Index:
        shards = [shard for part in PARTS for shard in shards_of(part, len(self._source(part)), self.shard_samples)]
        missing = [shard for shard in shards if not self._entries(shard).exists()]
        done = sum(map(len, shards)) - sum(map(len, missing))
        progress(done)
        work = (partial(self._encode, shard, numbers) for shard in missing for numbers in shard.pieces())
        encoded = in_order(work, self.threads, 2 * self.threads, "encode")
        for shard, pieces in groupby(encoded, key=itemgetter(0)):
            self._write(shard, _counted(pieces, done, progress))
            done += len(shard)
        entries = {part: [self._entries(shard) for shard in shards if shard.part == part] for part in PARTS}
        index = finish(self.target, entries, self.encoding, self.listing.classes, plan)
        shutil.rmtree(self.target / WORK)
        return index

    def _encode(self, shard: Shard, numbers: range) -> tuple[Shard, Piece]:
        return shard, encode(self._source(shard.part), numbers, self.encoding)

    def _write(self, shard: Shard, pieces: Iterable[Piece]) -> None:
        """Write a shard, then what it adds to the index: with that it is done."""
        source, entries = self._source(shard.part), ShardEntries(Sums.nothing(self.encoding.size))
        path = self.target / f"{shard.name}.{suffix(self.encoding)}"
        with whole_file(path) as file:
            shard_file = new_shard(file, self.encoding)
            for piece in pieces:
                if self.refuse and piece.left_out:
                    number, reason = next(iter(piece.left_out.items()))
                    raise UsageError(
                        "SRC", source.name(number), f"cannot be read ({reason}): repair it, or --broken skip"
                    )
                entries.sums.add(piece.sums)
                entries.left_out |= {source.name(number): reason for number, reason in piece.left_out.items()}
                for number, contents in zip(piece.numbers, piece.contents, strict=True):
                    name, label = self._name(source, number), int(source.labels[number])
                    entries.places.append((shard_file.add(name, contents), len(contents), label))
                    entries.names.append(name)
            shard_file.finish()
        entries.save(self._entries(shard), described(path))

    def _name(self, source: Source, number: int) -> str:
        """An image's path in the archive: below its class's name, which any reader of class folders takes."""
        label, path = self.listing.classes[source.labels[number]], PurePath(source.name(number)).with_suffix(".jpg")
        below = path.parts[path.parts.index(label) + 1 :] if label in path.parts else (path.name,)
        return "/".join((label, *below))

    def _entries(self, shard: Shard) -> Path:
        return self.target / WORK / f"{shard.name}.npz"

    def _source(self, part: str) -> Source:
        source: Source = getattr(self.listing, part)
        return source


def _counted(pieces: Iterable[tuple[Shard, Piece]], done: int, progress: Callable[[int], None]) -> Iterator[Piece]:
    """The pieces, in turn; after each, `progress` is told how many images are done."""
    for _, piece in pieces:
        yield piece
        done += len(piece.numbers) + len(piece.left_out)
        progress(done)
