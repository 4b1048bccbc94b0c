"""What a folder holds: a run, the refusal of one, or nothing; and deleting all of it or none."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.telemetry.run_files import EXIT, LAUNCHER, read_json

ASIDE = ".deleting"
PROGRAM = "alexnet-dist"
# What file systems and operating systems put into a folder: a folder with only these counts as empty.
_NO_CONTENTS = ("lost+found", ".snapshot", ".DS_Store")


def delete_all(paths: Sequence[Path]) -> None:
    """Delete files, links and whole folders: all of them or, where something in them cannot be deleted, none.

    Raises:
        OSError: with the name of what cannot be deleted.
    """
    for path in paths:
        _check_deletable(path)
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _check_deletable(path: Path) -> None:
    """Rename everything in a tree, and rename it back.

    The operating system refuses that wherever it would refuse to delete: immutable files, mount points, disks that are
    read-only.

    Raises:
        OSError: with the name of what cannot be deleted.
    """
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            _check_deletable(inner)
    path.rename(path.with_name(ASIDE)).rename(path)


def names_in(folder: Path) -> set[str]:
    """What a folder holds; nothing where it is missing.

    Raises:
        OSError: it is not a folder, or cannot be read.
    """
    if not os.path.lexists(folder):
        return set()
    return {p.name for p in folder.iterdir() if p.name not in _NO_CONTENTS and not p.name.startswith(".nfs")}


def is_run(folder: Path) -> bool:
    """Whether a run of this program was started there. A config.yaml is no proof: users write their own."""
    mark = read_json(folder / LAUNCHER)
    return mark is not None and mark.get("program") == PROGRAM


def is_refusal(folder: Path) -> bool:
    """Whether a folder's exit.json is this program's."""
    ended = read_json(folder / EXIT)
    return ended is not None and {"format", "code", "reason"} <= set(ended)


def is_free(folder: Path) -> bool:
    """Whether a folder is missing, empty, or holds no more than how an earlier start of this program was refused."""
    try:
        found = names_in(folder)
    except OSError:
        return False
    return not found or (found == {EXIT} and is_refusal(folder))
