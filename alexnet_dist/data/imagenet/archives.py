"""The members of ILSVRC's archives, read in place: of a .tar, and of the .tars inside a .tar."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.errors import UsageError

ARCHIVE = ".tar"


@dataclass(frozen=True)
class Member:
    """A file inside an archive.

    Attributes:
        name: its path there.
        offset, length: of its contents, in the outermost archive.
    """

    name: str
    offset: int
    length: int


def members(path: Path, offset: int = 0) -> Iterator[Member]:
    """Files of an archive, in its order. Reads their headers alone.

    Args:
        offset: where the archive begins in the file.

    Raises:
        UsageError: it is not a .tar, or is cut short.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for entry in archive:
                    if entry.isfile():
                        yield Member(entry.name, entry.offset_data, entry.size)
    except (tarfile.TarError, OSError) as error:
        raise UsageError("data.root", path, f"is no whole .tar ({error}): fetch it again") from None
