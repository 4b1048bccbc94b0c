"""Compares the files of a prepared data set with its index."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from alexnet_dist.data.imagenet.index import PARTS, File, Index, described
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
    """
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
    try:
        found = described(folder / file.name)
    except OSError as error:
        return [f"{file.name}: {error.strerror}"]
    if found.bytes != file.bytes:
        return [f"{file.name}: {found.bytes:,} bytes of {file.bytes:,}"]
    return [] if found == file else [f"{file.name}: its contents are not those that were written"]


def _outside(folder: Path, index: Index) -> Iterator[str]:
    """Samples whose place is outside their shard, or whose label is that of no class; only a defect can write them."""
    for name in PARTS:
        part = index.parts[name]
        shard, offset, length, label = np.load(folder / part.table.name).T
        ends = np.array([file.bytes for file in part.shards])[shard]
        wrong = (offset + length > ends) | (label < 0) | (label >= len(index.classes))
        if wrong.any() or len(wrong) != part.samples:
            yield f"{part.table.name}: {int(wrong.sum())} of {len(wrong)} entries are wrong, for {part.samples} samples"
