"""The files of a prepared data set.

    index.json            what this module describes: settings, classes, statistics, shards with their checksums
    train.npy, test.npy   int64 (samples, 4): shard, offset and length of the contents, label
    train.txt, test.txt   a line by sample: the class's name and the image's path below it
    mean.npy              fp64 (size, size, 3), of the training images
    train-00000.tar, …    JPEG: an archive that any tool reads; raw: train-00000.npy, uint8 (samples, size, size, 3)

`index.json` is written last: a folder without it is not finished. Until then `.prepare` says what is done.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from alexnet_dist.errors import UsageError

INDEX, MEAN, WORK = "index.json", "mean.npy", ".prepare"
FORMAT = 1
PARTS = ("train", "test")
Kind = Literal["jpeg", "raw"]
Subsampling = Literal["420", "422", "444"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Encoding(_Record):
    """How images are stored.

    Attributes:
        kind: JPEG files in .tar, or pixels in .npy.
        size: height and width of every image.
        quality, subsampling: of JPEG; None for raw.
    """

    kind: Kind
    size: int = Field(ge=1)
    quality: int | None
    subsampling: Subsampling | None

    @classmethod
    def of(cls, kind: Kind, size: int = 256, quality: int = 90, subsampling: Subsampling = "420") -> Self:
        """With the settings that images of this kind have."""
        if kind == "raw":
            return cls(kind=kind, size=size, quality=None, subsampling=None)
        return cls(kind=kind, size=size, quality=quality, subsampling=subsampling)


class File(_Record):
    """A file of the data set.

    Attributes:
        sha256: of its contents, hexadecimal.
    """

    name: str
    bytes: int
    sha256: str


class Part(_Record):
    """One part of a prepared data set: train or test.

    Attributes:
        samples: images, without those that were left out.
        shards: in the order of their numbers.
        table, names: the part's .npy and .txt.
        left_out: images that could not be read, and why, by path.
    """

    samples: int
    shards: list[File]
    table: File
    names: File
    left_out: dict[str, str]


class Index(_Record):
    """The index file of a prepared data set.

    Attributes:
        format: of these files.
        plan: a checksum of what was asked for: the images' names and labels, and the settings.
        classes: names in the order of labels.
        mean: by channel, 0 to 255, over all pixels of the training images as they were before JPEG.
        covariance: of the channels over the same pixels.
    """

    format: Literal[1]
    plan: str
    encoding: Encoding
    classes: list[str] = Field(min_length=1)
    parts: dict[str, Part]
    mean_image: File
    mean: list[float]
    covariance: list[list[float]]

    @field_validator("parts")
    @classmethod
    def _check_parts(cls, parts: dict[str, Part]) -> dict[str, Part]:
        if set(parts) != set(PARTS):
            raise ValueError(f"must be {' and '.join(PARTS)}")
        return parts

    def files(self) -> list[File]:
        """All files, in the order in which they are read: small ones first."""
        parts = [self.parts[name] for name in PARTS]
        return [self.mean_image, *(file for part in parts for file in (part.table, part.names)),
                *(shard for part in parts for shard in part.shards)]  # fmt: skip


def read_index(folder: Path) -> Index:
    """Read the index of a prepared data set.

    Raises:
        UsageError: there is none, or it is of another version of this program.
    """
    path = folder / INDEX
    try:
        return parse_index(path.read_text(), str(path))
    except (FileNotFoundError, NotADirectoryError):
        check_finished(folder)
        raise UsageError("data.root", folder, f"holds no {INDEX}: it is not what data prepare wrote") from None
    except OSError as error:
        raise UsageError("data.root", folder, f"{INDEX} cannot be read ({error.strerror})") from None


def check_finished(folder: Path) -> None:
    """Refuse a folder that is being prepared, or was when the program was killed: its shards look like classes."""
    if (folder / WORK).is_dir() and not (folder / INDEX).exists():
        raise UsageError("data.root", folder, "its preparation is not finished: the same data prepare goes on with it")


def parse_index(text: str, where: str) -> Index:
    """Read an index from its text.

    Args:
        where: the file that the text comes from, for messages.

    Raises:
        UsageError: it is of another version of this program, or damaged.
    """
    try:
        return Index.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        raise UsageError("data.root", where, f"is no index of format {FORMAT} ({problem})") from None


def write_index(folder: Path, index: Index) -> None:
    write_whole(folder / INDEX, index.model_dump_json(indent=1).encode())


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which is there either whole or not at all; a program that is killed leaves NAME.part."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, contents: bytes) -> None:
    with whole_file(path) as file:
        file.write(contents)


def described(path: Path) -> File:
    """A file of the data set, with the checksum of what it holds now."""
    with path.open("rb") as file:
        return File(name=path.name, bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
