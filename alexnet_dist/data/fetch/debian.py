"""Debian's packages, unpacked without root, and folders of images that are made from them."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from alexnet_dist.errors import UsageError, reason_of
from alexnet_dist.temporary import temporary_folder

LICENCES = "COPYRIGHT"


def folder_from_packages(
    root: str | None, usual_place: str, packages: Sequence[str], fill: Callable[[Path, Path], None], failure: str
) -> Path:
    """A folder of images made from packages; where they are missing, one process makes them while the others wait.

    The packages' licences are written last, so that a folder with `LICENCES` is complete.

    Args:
        root: the folder; None takes the usual one.
        fill: makes the images. It gets the packages' /usr/share and the folder to fill.
        failure: what went wrong, for the message; the cause follows in brackets.

    Raises:
        UsageError: they could not be fetched or written.
    """
    named = root or usual_place
    try:
        folder = Path(named).expanduser()
        if (folder / LICENCES).is_file():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"), temporary_folder(within=folder) as work:
            if not (folder / LICENCES).is_file():  # else another process was faster
                for package in packages:
                    unpack(package, work)
                fill(work / "usr/share", folder)
                _write_licences(work / "usr/share/doc", folder, packages)
        return folder
    except PermissionError as error:
        raise UsageError("--root", named, f"cannot be written ({error.strerror})") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) and error.strerror else error
        raise UsageError("--root", named, f"{failure} ({reason})") from None


def _write_licences(docs: Path, folder: Path, packages: Sequence[str]) -> None:
    """Keep each package's copyright file; the last one's is `LICENCES`, the others' have the package's name added."""
    paths = [folder / f"{LICENCES}.{package}" for package in packages]
    for package, path in zip(packages, paths, strict=True):
        shutil.copyfile(docs / package / "copyright", path)
    paths[-1].replace(folder / LICENCES)


def unpack(package: str, folder: Path) -> None:
    """Download a package and unpack its files below a folder, with the paths that they have below the root.

    Raises:
        OSError: this is no Debian machine, or the package cannot be downloaded.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise OSError(f"no {tool} on this machine")
    _run(["apt-get", "download", "-qq", package], folder)
    (packed,) = folder.glob("*.deb")
    _run(["dpkg-deb", "-x", packed.name, "."], folder)
    packed.unlink()


def _run(words: list[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split())[-300:]
        raise OSError(f"{words[0]} failed: {reason}")
