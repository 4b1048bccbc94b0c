"""A run's checkpoints on disk.

    checkpoints/latest                    the name of the newest whole one
    checkpoints/step-000000500/           one checkpoint: safetensors files, and
    checkpoints/step-000000500/checkpoint.json    what they hold, with the checksum of each

A checkpoint is data: safetensors and JSON, nothing that is unpickled. It gets its name when it is whole and on the
disk; before that it is called .writing-…, and nobody reads it.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

FOLDER, LATEST, MANIFEST = "checkpoints", "latest", "checkpoint.json"
_PREFIX, _WRITING = "step-", ".writing-"
FORMAT = 1


class Damaged(Exception):
    """A checkpoint that is not what was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"checkpoint {path} is damaged: {why}")


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds.

    Attributes:
        step: optimiser steps done.
        experiment: the resolved experiment that wrote it, as plain values.
        world_size, mesh: of the ranks that wrote it.
        versions: of the packages that wrote it.
        files: by name: SHA-256 in hex.
    """

    step: int
    experiment: Mapping[str, Any]
    world_size: int
    mesh: Mapping[str, int]
    versions: Mapping[str, str]
    files: Mapping[str, str]


def named(step: int) -> str:
    return f"{_PREFIX}{step:09d}"


def written(folder: Path) -> list[Path]:
    """Whole checkpoints in a `checkpoints` folder, oldest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdecimal()]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def candidates(folder: Path) -> list[Path]:
    """The checkpoint that `latest` names, then older ones, newest first.

    A newer one than the latest belongs to a course that training has left, or was not finished.
    """
    whole = written(folder)
    try:
        latest = step_of(Path((folder / LATEST).read_text().strip()))
    except (OSError, ValueError):
        return whole[::-1]
    return [path for path in whole[::-1] if step_of(path) <= latest]


def begin(folder: Path, step: int) -> Path:
    """An empty folder to write a checkpoint into; leftovers of earlier attempts are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"{_WRITING}*"):
        shutil.rmtree(left_over)
    path = folder / (_WRITING + named(step))
    path.mkdir()
    return path


def seal(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Into the checkpoint's folder, with a checksum of its own, and on to the disk."""
    body = {"format": FORMAT, **asdict(manifest)}
    _write_through(path / MANIFEST, json.dumps({**body, "sha256": _seal_of(body)}, indent=2) + "\n")


def publish(path: Path, folder: Path, step: int) -> Path:
    """Give a whole checkpoint its name, then point `latest` at it."""
    _sync(path)
    final = folder / named(step)
    if final.exists():  # training went back to an older one, and has come here again
        replaced = folder / (_WRITING + "replaced")
        final.rename(replaced)
        path.rename(final)
        shutil.rmtree(replaced)
    else:
        path.rename(final)
    _sync(folder)
    _write_through(folder / ".latest", final.name + "\n")
    (folder / ".latest").replace(folder / LATEST)
    _sync(folder)
    return final


def set_aside(path: Path) -> None:
    """Call a damaged checkpoint what it is; nobody reads it or counts it any more."""
    aside = path.with_name(f"damaged-{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def prune(folder: Path, keep: int, keep_every: int | None) -> None:
    """Remove all but the newest `keep` and those whose step is a multiple of `keep_every`; nothing newer than the
    latest counts."""
    for path in candidates(folder)[keep:]:
        if keep_every is None or step_of(path) % keep_every:
            shutil.rmtree(path)


def read_manifest(path: Path) -> Manifest:
    """What a checkpoint says of itself.

    Raises:
        Damaged: it says nothing that can be trusted.
    """
    try:
        values = json.loads((path / MANIFEST).read_text())
        seal = values.pop("sha256")
        if seal != _seal_of(values):
            raise Damaged(path, f"{MANIFEST} was changed")
        if values.pop("format") != FORMAT:
            raise Damaged(path, "another version of this program wrote it")
        return Manifest(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(path, f"{MANIFEST} cannot be read ({error})") from None


def verify(path: Path) -> Manifest:
    """Read every byte of a checkpoint and hold it against its checksums.

    Raises:
        Damaged: naming the first file that is missing or changed.
    """
    manifest = read_manifest(path)
    for name, expected in manifest.files.items():
        if not (path / name).is_file():
            raise Damaged(path, f"{name} is missing")
        if seal(path / name) != expected:
            raise Damaged(path, f"{name} was changed")
    return manifest


def _seal_of(values: Mapping[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _write_through(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Names in a folder are on the disk only when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
