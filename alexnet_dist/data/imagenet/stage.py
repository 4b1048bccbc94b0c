"""Copies a prepared data set to a disk of the machine's own, from wherever fsspec reads: another folder, S3, HTTP, …

One process of a machine copies, under a lock; the others wait. A file gets its name when it is whole and its checksum
is right, and the index comes last: a copy that was interrupted goes on with the files that are missing.
"""

import hashlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock

from alexnet_dist.data.imagenet.index import INDEX, File, Index, parse_index, read_index, write_index
from alexnet_dist.errors import UsageError, message_of, refusing

THREADS = 8
CHUNK_BYTES = 1 << 22
PAUSES = (1.0, 5.0)  # seconds before a file is tried again
SPARE_BYTES = 1 << 28  # that must be left on the disk


def is_remote(root: str) -> bool:
    return "://" in root


def index_of(root: str) -> Index:
    """The index of a prepared data set that may be anywhere.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if not is_remote(root):
        return read_index(Path(root).expanduser())
    try:
        files, folder = _file_system(root)
        return parse_index(files.cat_file(f"{folder}/{INDEX}").decode(), f"{root}/{INDEX}")
    except UsageError:
        raise
    except Exception as error:  # each file system of fsspec has errors of its own
        raise UsageError("data.root", root, f"cannot be read ({_reason(error)})") from None


def staged(root: str, stage: Path) -> Path:
    """Copy a prepared data set, unless its copy is there.

    Args:
        root: a folder, or an address that fsspec knows.
        stage: where the copy gets a folder of its own.

    Raises:
        UsageError: it cannot be read, or not be written; its files are not those of its index; the disk is too small.
    """
    index = index_of(root)
    target = stage.expanduser() / index.plan[:16]
    with refusing("data.stage", target, "cannot be written"):
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / ".lock"):
            if not (target / INDEX).exists():
                _copy(root, target, index)
    return target


def _copy(root: str, target: Path, index: Index) -> None:
    missing = [file for file in index.files() if not (target / file.name).exists()]
    needed = sum(file.bytes for file in missing)
    free = shutil.disk_usage(target).free
    if free < needed + SPARE_BYTES:
        remedy = f"{needed / 1e9:.1f} GB are to be copied there, {free / 1e9:.1f} GB are free: choose another disk"
        raise UsageError("data.stage", target, remedy)
    print(f"data.stage: copying {len(missing)} files, {needed / 1e9:.2f} GB, to {target}", flush=True)
    files, folder = _file_system(root)
    with ThreadPoolExecutor(THREADS) as pool:
        for copied in [pool.submit(_copy_file, files, f"{folder}/{file.name}", target, file) for file in missing]:
            try:
                copied.result()
            except UsageError:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    write_index(target, index)


def _copy_file(files: Any, source: str, target: Path, file: File) -> None:
    part = target / f"{file.name}.part"
    for pause in (*PAUSES, None):
        try:
            digest = _download(files, source, part)
        except Exception as error:
            if pause is None:
                raise UsageError("data.root", source, f"cannot be copied ({_reason(error)})") from None
            time.sleep(pause)
        else:
            break
    if digest != file.sha256:
        part.unlink()
        raise UsageError("data.root", source, "is not the file that its index names: alexnet-dist data verify")
    part.replace(target / file.name)


def _download(files: Any, source: str, part: Path) -> str:
    digest = hashlib.sha256()
    with files.open(source, "rb") as reader, part.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def _file_system(root: str) -> tuple[Any, str]:
    """What reads there, and the folder's name for it."""
    from fsspec.core import url_to_fs

    files, folder = url_to_fs(root if is_remote(root) else str(Path(root).expanduser()))
    return files, folder.rstrip("/")


def _reason(error: Exception) -> str:
    return "it is not there" if isinstance(error, FileNotFoundError) else message_of(error)
