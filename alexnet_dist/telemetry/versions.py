"""Versions of this program, with its git commit, and of the packages that a run's figures depend on."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "accelerate", "deepspeed", "wandb")
_CHECKOUT = Path(__file__).parents[2]
_GIT_SECONDS = 5
_COMMIT = "# branch.oid "


@cache
def versions() -> dict[str, str]:
    """By package; "commit" is missing outside a git checkout. Starts git once, so one rank calls this."""
    found = {"python": platform.python_version()}
    for package in ("alexnet-dist", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # this program itself may run from a folder, without being installed
    commit = _commit()
    return found if commit is None else {**found, "commit": commit}


def _commit() -> str | None:
    """The commit of the checkout that this package lies in, with "-dirty" where tracked files differ from it.

    `git status` alone leaves the index as it is: `describe --dirty` locks it, and a run that is killed then would leave
    the lock there.
    """
    if not (_CHECKOUT / ".git").exists():
        return None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    line = ["git", "--no-optional-locks", "-C", str(_CHECKOUT), "status", "--porcelain=v2", "--branch", "-uno"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=_GIT_SECONDS, env=environment, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    found = [line.removeprefix(_COMMIT) for line in lines if line.startswith(_COMMIT)]
    if not found or not found[0].isalnum():  # "(initial)" before the first commit
        return None
    return found[0] + ("" if all(line.startswith("# ") for line in lines) else "-dirty")
