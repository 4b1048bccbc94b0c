"""Debian's packages, unpacked without root."""

import shutil
import subprocess
from pathlib import Path


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
