"""Puts the index and the statistics of a prepared data set together, from the records kept beside its shards."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from alexnet_dist.data.imagenet.encode import Sums
from alexnet_dist.data.imagenet.index import MEAN, Encoding, Index, Part, described, write_index, write_whole
from alexnet_dist.data.imagenet.shard_entries import load_entries
from alexnet_dist.errors import UsageError


def finish(
    target: Path, entries: Mapping[str, Sequence[Path]], encoding: Encoding, classes: Sequence[str], plan: str
) -> Index:
    """Write the index, and what goes with it.

    Args:
        entries: the shards' records, by part.

    Raises:
        UsageError: a part has no image that can be read.
    """
    sums = Sums.nothing(encoding.size)
    parts = {name: _part(target, name, paths, sums if name == "train" else None) for name, paths in entries.items()}
    for name, part in parts.items():
        if not part.samples:
            image, reason = next(iter(part.left_out.items()))
            raise UsageError("SRC", image, f"cannot be read ({reason}), nor can any other of the {name} images")
    write_whole(target / MEAN, _npy(sums.pixels / sums.images))
    mean, covariance = _colours(sums)
    index = Index(
        format=1,
        plan=plan,
        encoding=encoding,
        classes=list(classes),
        parts=parts,
        mean_image=described(target / MEAN),
        mean=mean,
        covariance=covariance,
    )
    write_index(target, index)
    return index


def _part(target: Path, name: str, paths: Iterable[Path], sums: Sums | None) -> Part:
    """Write a part's table and names; add up its statistics."""
    shards, tables, names, left_out = [], [], list[str](), dict[str, str]()
    for number, path in enumerate(paths):
        entries, file = load_entries(path)
        shards.append(file)
        tables.append(entries.table(number))
        names += entries.names
        left_out |= entries.left_out
        if sums is not None:
            sums.add(entries.sums)
    table, listed = target / f"{name}.npy", target / f"{name}.txt"
    write_whole(table, _npy(np.concatenate(tables)))
    write_whole(listed, "".join(f"{line}\n" for line in names).encode(errors="surrogateescape"))
    return Part(samples=len(names), shards=shards, table=described(table), names=described(listed), left_out=left_out)


def _colours(sums: Sums) -> tuple[list[float], list[list[float]]]:
    """Mean and covariance of the channels over all pixels. Whole numbers until the last division: exact."""
    count = sums.images * sums.pixels[..., 0].size
    totals = [int(total) for total in sums.pixels.reshape(-1, 3).sum(0)]
    products = sums.products.tolist()
    covariance = [[(count * products[i][j] - totals[i] * totals[j]) / count**2 for j in range(3)] for i in range(3)]
    return [total / count for total in totals], covariance


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
