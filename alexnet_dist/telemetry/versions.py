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
    """The commit of the checkout that this package lies in, with "-dirty" where tracked files differ from it."""
    if not (_CHECKOUT / ".git").exists():
        return None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    line = ["git", "--no-optional-locks", "-C", str(_CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(
            [*line, "--exclude=*"], capture_output=True, text=True, timeout=_GIT_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
