"""The file that `--output` names: it is there whole or not at all, and an existing one is never overwritten."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alexnet_dist.errors import UsageError, alternatives, refusing
from alexnet_dist.temporary import interruptible

FLAG = "--output"


def check_output(output: Path) -> None:
    """Refuse an output file that could not be written, or that would replace another.

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


def format_of(output: Path, endings: Mapping[str, str], default: str) -> str:
    """The format that a file's name asks for.

    Args:
        endings: the format of each ending; an ending includes its dot.
        default: the format of a name without an ending.

    Raises:
        UsageError: no format has that ending.
    """
    ending = output.suffix.lower()
    if ending and ending not in endings:
        remedy = f"no format has the ending {ending}: end the name in {alternatives(endings)}, or give --format"
        raise UsageError(FLAG, output, remedy)
    return endings.get(ending, default)


@contextmanager
def new_file(output: Path) -> Iterator[Path]:
    """A path beside the output to write to; what is there gets the output's name at the end, if all went well.

    Raises:
        UsageError: it cannot be written, or there is a file of that name by now.
    """
    temporary = output.with_name(f".{os.getpid()}.writing{output.suffix}")
    with refusing(FLAG, output, "cannot be written"), interruptible():
        try:
            yield temporary
            check_output(output)  # a renaming would replace what has come meanwhile
            temporary.rename(output)
        finally:
            temporary.unlink(missing_ok=True)
