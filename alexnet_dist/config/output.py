"""The file that `--output` names: an existing one is never overwritten."""

import os
from pathlib import Path

from alexnet_dist.errors import UsageError

FLAG = "--output"


def check_output(output: Path) -> None:
    """
    Raises:
        UsageError: the file exists, or its folder does not or cannot be written to.
    """
    folder = output.parent
    if os.path.lexists(output):
        raise UsageError(FLAG, output, "exists already: choose another name")
    if not os.path.isdir(folder):
        raise UsageError(FLAG, output, f"there is no folder {folder}: make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError(FLAG, output, f"the folder {folder} cannot be written to")
