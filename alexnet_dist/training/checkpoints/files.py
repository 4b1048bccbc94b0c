"""A run's checkpoints on disk.

    checkpoints/latest                    the name of the newest complete one
    checkpoints/step-000000500/           one checkpoint: safetensors files, and
    checkpoints/step-000000500/checkpoint.json    what they hold, with the checksum of each

A checkpoint is data: safetensors and JSON, nothing that is unpickled. It gets its name when it is complete and on the
disk; before that it is called .writing-… and ignored.
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
PREFIX, _WRITING, _REPLACED, _DAMAGED, _LATEST = "step-", ".writing-", ".replaced-", "damaged-", ".latest"
FORMAT = 1
MEAN_IMAGE = "input.mean_image"  # a tensor beside a strategy's state, where data.normalise is mean_image


class Damaged(Exception):
    """A checkpoint differs from what was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"checkpoint {path} is damaged: {why}")


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds.

    Attributes:
        step: optimizer steps done.
        experiment: the resolved experiment that wrote it, as plain values.
        world_size, mesh: of the ranks that wrote it.
        versions: of the packages that wrote it.
        files: by name: SHA-256 in hex.
        generator: of the random numbers that it was trained with (`rng.GENERATOR`).
    """

    step: int
    experiment: Mapping[str, Any]
    world_size: int
    mesh: Mapping[str, int]
    versions: Mapping[str, str]
    files: Mapping[str, str]
    generator: int


def directory_name(step: int) -> str:
    return f"{PREFIX}{step:09d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in a `checkpoints` folder, oldest first.

    Raises:
        OSError: it is there and cannot be read.
    """
    paths = folder.iterdir() if folder.exists() else ()
    found = [p for p in paths if p.name.startswith(PREFIX) and p.name.removeprefix(PREFIX).isdecimal()]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    return int(path.name.removeprefix(PREFIX))


def candidates(folder: Path) -> list[Path]:
    """The checkpoint that `latest` names, then older ones, newest first.

    Checkpoints newer than `latest` are incomplete or abandoned.

    Raises:
        OSError: the folder is there and cannot be read.
    """
    whole = list_checkpoints(folder)
    try:
        latest = step_of(Path((folder / LATEST).read_text().strip()))
    except (OSError, ValueError):
        return whole[::-1]
    return [path for path in whole[::-1] if step_of(path) <= latest]


def make_folder(folder: Path) -> None:
    """Create a `checkpoints` folder; where it is a link that leads nowhere, what it leads to.

    Raises:
        OSError: also where the folder above is gone: a run directory that was deleted does not come back.
    """
    Path(os.path.realpath(folder)).mkdir(exist_ok=True)


def temporary_path(folder: Path, step: int) -> Path:
    """Where a checkpoint is written before it gets its name."""
    return folder / (_WRITING + directory_name(step))


def make_temporary(folder: Path, step: int) -> None:
    """Make an empty folder to write a checkpoint into; leftovers of failed attempts are removed."""
    make_folder(folder)
    for replaced in folder.glob(f"{_REPLACED}{PREFIX}*"):
        _put_back(replaced)
    for left_over in folder.glob(f"{_WRITING}*"):
        shutil.rmtree(left_over)
    temporary_path(folder, step).mkdir()


def all_of_run(folder: Path) -> list[Path]:
    """What runs write into a `checkpoints` folder: checkpoints, whole or not, and which is the newest."""
    patterns = [f"{kind}{PREFIX}*" for kind in ("", _WRITING, _REPLACED, _DAMAGED)]
    return [path for pattern in (*patterns, LATEST, _LATEST) for path in folder.glob(pattern)]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest into the checkpoint's folder, with a checksum of its own, and sync it."""
    body = {"format": FORMAT, **asdict(manifest)}
    _write_synced(path / MANIFEST, json.dumps({**body, "sha256": _sha256_of_json(body)}, indent=2) + "\n")


def publish(path: Path, folder: Path, step: int) -> Path:
    """Give a complete checkpoint its name, then point `latest` at it. A failure leaves what was there before."""
    _sync(path)
    final, replaced = folder / directory_name(step), folder / (_REPLACED + directory_name(step))
    _write_synced(folder / _LATEST, final.name + "\n")  # what needs space comes first
    if final.exists():  # training resumed from an older one and has reached this step again
        final.rename(replaced)
    try:
        path.rename(final)
    except OSError:
        _put_back(replaced)
        raise
    _sync(folder)
    (folder / _LATEST).replace(folder / LATEST)
    _sync(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return final


def _put_back(replaced: Path) -> None:
    """Undo a replacement that was cut short."""
    final = replaced.with_name(replaced.name.removeprefix(_REPLACED))
    if final.exists():
        shutil.rmtree(replaced)
    elif replaced.exists():
        replaced.rename(final)


def mark_damaged(path: Path) -> None:
    """Rename a damaged checkpoint, so that it is neither read nor counted."""
    aside = path.with_name(_DAMAGED + path.name)
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def prune(folder: Path, keep: int, keep_every: int | None) -> None:
    """Remove all but the newest `keep` and those whose step is a multiple of `keep_every`.

    Those newer than `latest` are neither counted nor removed.
    """
    for path in candidates(folder)[keep:]:
        if keep_every is None or step_of(path) % keep_every:
            shutil.rmtree(path)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint.

    Raises:
        Damaged: it cannot be read, was changed, or has another format.
        PermissionError: it may not be read.
    """
    try:
        values = json.loads((path / MANIFEST).read_text())
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(path, f"{MANIFEST} cannot be read ({error})") from None
    if not isinstance(values, dict) or "sha256" not in values:
        raise Damaged(path, f"{MANIFEST} lacks its checksum: it was changed, or is of another program")
    if values.pop("sha256") != _sha256_of_json(values):
        raise Damaged(path, f"{MANIFEST} was changed")
    try:
        if values.pop("format", None) == FORMAT:
            return Manifest(**values)
    except TypeError:  # other fields
        pass
    raise Damaged(path, "another version of this program wrote it")


def all_are_there(path: Path) -> bool:
    """Whether a checkpoint still has all of its files."""
    try:
        return all((path / name).exists() for name in read_manifest(path).files)
    except Damaged:
        return False


def verify(path: Path) -> Manifest:
    """Read every byte of a checkpoint and compare it with its checksums.

    Raises:
        Damaged: naming the first file that is missing or changed, or that the disk does not give back.
        PermissionError: one may not be read.
    """
    manifest = read_manifest(path)
    for name, expected in manifest.files.items():
        try:
            changed = sha256_of(path / name) != expected
        except PermissionError:
            raise
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            raise Damaged(path, f"{name} is missing" if gone else f"{name} cannot be read ({error.strerror})") from None
        if changed:
            raise Damaged(path, f"{name} was changed")
    return manifest


def _sha256_of_json(values: Mapping[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _write_synced(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Sync a folder: only then are the names in it on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
