"""Compares the files of a prepared data set with its index."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alexnet_dist.data.imagenet.index import PARTS, File, Index, described
from alexnet_dist.data.imagenet.prepared import read_table
from alexnet_dist.errors import UsageError


def verify(folder: Path, index: Index, threads: int, progress: Callable[[int], None]) -> list[str]:
    """What differs, one line a file; empty where all is as it was written.

    Args:
        threads: that read.
        progress: called with the number of files that are compared.
    """
    files, problems = index.files(), list[str]()
    with ThreadPoolExecutor(threads) as pool:
        for done, problem in enumerate(pool.map(lambda file: _problem(folder, file), files), start=1):
            problems += problem
            progress(done)
    return problems or list(_outside(folder, index))


def check_sizes(folder: Path, index: Index) -> None:
    """Compare the size of each file with the index; no file is read.

    Raises:
        UsageError: a file is missing, or shorter or longer than it was written.
    """
    for file in index.files():
        path = folder / file.name
        try:
            found = path.stat().st_size
        except OSError as error:
            raise UsageError("data.root", path, f"cannot be read ({error.strerror}): prepare it again") from None
        if found != file.bytes:
            remedy = f"has {found:,} bytes of {file.bytes:,}: see alexnet-dist data verify"
            raise UsageError("data.root", path, remedy)


def _problem(folder: Path, file: File) -> list[str]:
    path = folder / file.name
    try:
        size = path.stat().st_size
        if size != file.bytes:  # also what is no file, such as a named pipe, whose opening would wait for ever
            return [f"{file.name}: {size:,} bytes of {file.bytes:,}"]
        same = described(path) == file
    except OSError as error:
        return [f"{file.name}: {error.strerror}"]
    return [] if same else [f"{file.name}: its contents are not those that were written"]


def _outside(folder: Path, index: Index) -> Iterator[str]:
    """Errors in tables whose checksums are right: only a defect of this program can have written them."""
    for name in PARTS:
        table = index.parts[name].table.name
        try:
            read_table(folder / table, index.parts[name], len(index.classes))
        except (OSError, ValueError) as problem:
            yield f"{table}: {problem}"
