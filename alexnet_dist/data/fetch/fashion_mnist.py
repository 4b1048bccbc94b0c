"""Gets Fashion-MNIST where it is missing: torchvision's mirrors, else Debian's package unpacked without root.

One process works, under a lock; a file gets its name only when it is complete and the published one. An interrupted
download continues where it stopped.
"""

import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from filelock import FileLock
from rich.progress import Progress

from alexnet_dist.data.fetch.debian import unpack
from alexnet_dist.data.sets.fashion_mnist import FILES, find_folder, folder_to_fill, read_published
from alexnet_dist.errors import UsageError, refusing
from alexnet_dist.temporary import temporary_folder

DEBIAN_PACKAGE = "dataset-fashion-mnist"
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 18
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416


def fetch(root: str | None, mirrors: Sequence[str] | None = None) -> Path:
    """Make sure that the four files are there.

    Args:
        root: the folder wanted; None takes a usual place that has them, else the first one.
        mirrors: addresses of folders that hold the packed files; None takes torchvision's.

    Returns:
        The folder that has them.

    Raises:
        UsageError: no source had them; the message gives each one's reason.
    """
    try:
        return find_folder(root)
    except UsageError:
        folder = folder_to_fill(root)
    with refusing("data.root", folder, "cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            return _fetch_locked(folder, _torchvisions_mirrors() if mirrors is None else mirrors)


def _torchvisions_mirrors() -> Sequence[str]:
    # Imported here: it takes two seconds, and files are mostly there already.
    from torchvision.datasets import FashionMNIST

    mirrors: list[str] = FashionMNIST.mirrors
    return mirrors


def _fetch_locked(folder: Path, mirrors: Sequence[str]) -> Path:
    sources: list[tuple[str, Callable[[], None]]] = [
        *((mirror, lambda mirror=mirror: _from_mirror(folder, mirror)) for mirror in mirrors),
        (f"Debian's package {DEBIAN_PACKAGE}", lambda: _from_debian(folder)),
    ]
    reasons = []
    for name, get in sources:
        try:
            return find_folder(str(folder))  # another process was faster
        except UsageError:
            pass
        try:
            get()
            return find_folder(str(folder))
        except (OSError, HTTPException, ValueError, UsageError) as error:
            reasons.append(f"{name}: {error}")
    raise UsageError(
        "data.root",
        folder,
        f"Fashion-MNIST is not there and could not be fetched ({'; '.join(reasons)}): copy train-images-idx3-ubyte.gz "
        "and its three companions there, or name the folder that has them",
    )


def _from_mirror(folder: Path, mirror: str) -> None:
    with Progress(transient=True) as progress:
        for name in FILES:
            packed = folder / f"{name}.gz"
            if not packed.exists():
                _download(f"{mirror.rstrip('/')}/{packed.name}", packed, progress)


def _download(address: str, path: Path, progress: Progress) -> None:
    part = path.with_suffix(".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != RANGE_NOT_SATISFIABLE:  # which says that the part is whole
            raise
    else:
        with answer:
            _append(part, have if answer.status == PARTIAL_CONTENT else 0, answer, path.name, progress)
    _keep(part, path)


def _append(part: Path, have: int, answer: HTTPResponse, name: str, progress: Progress) -> None:
    """Write an answer after the first `have` bytes of a file."""
    length = have + int(answer.headers.get("Content-Length", 0))
    task = progress.add_task(name, total=length, completed=have)
    with part.open("ab" if have else "wb") as file:
        while chunk := answer.read(CHUNK_BYTES):
            file.write(chunk)
            progress.update(task, advance=len(chunk))
    if part.stat().st_size < length:
        raise OSError(f"{name} ended early; the next call continues there")


def _keep(part: Path, path: Path) -> None:
    """Give a fetched file its name, if it is the published one; else remove it."""
    try:
        read_published(part, path.name.removesuffix(".gz"))
    except UsageError:
        part.unlink()
        raise
    part.replace(path)


def _from_debian(folder: Path) -> None:
    with temporary_folder(within=folder) as work:
        unpack(DEBIAN_PACKAGE, work)
        for name in FILES:
            (found,) = work.rglob(f"{name}.gz")
            if not (folder / found.name).exists():
                _keep(found, folder / found.name)
