"""The commands. Each is the file of its name: its flags, its help, and one call.

A command's file ends with `COMMAND = registry.commands.register(Command(NAME, SUMMARY, run, FLAGS, ABOUT))`. At the top
it imports only light modules, and the rest inside functions: `alexnet-dist --help` imports every command.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alexnet_dist.config.flags import Flags


@dataclass(frozen=True)
class Command:
    """`alexnet-dist NAME`.

    Attributes:
        name: as it is typed.
        summary: one line, for `alexnet-dist --help`.
        run: takes the flags, returns the exit code. It may raise UsageError and RunFailed, which the command line
            prints as one line, "error: …", with exit code 2 or 1.
        flags: what it takes, for help and completion; None leaves `--help` to the command.
        about: what it does, with examples, for its help.
        records: its results are files: what it prints may be lost. Else that ends it with exit code 1.
    """

    name: str
    summary: str
    run: Callable[[Sequence[str]], int]
    flags: Flags[Any] | None = None
    about: str = ""
    records: bool = False
