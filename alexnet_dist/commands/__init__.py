"""The commands: each is the file of its name, which registers it in `registry.commands`.

A command's file defines its flags and its help and makes one call; what is heavy it imports inside `run`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """`alexnet-dist NAME`.

    Attributes:
        name: as it is typed.
        summary: one line, for `alexnet-dist --help`.
        run: takes the flags, returns the exit code. It may raise UsageError and RunFailed, which the command line prints
            as one line, "error: …", with exit code 2 or 1.
    """

    name: str
    summary: str
    run: Callable[[Sequence[str]], int]
