"""A command from outside the package."""

from collections.abc import Sequence

from alexnet_dist.commands import Command
from alexnet_dist.errors import UsageError
from alexnet_dist.registry import commands


def run(flags: Sequence[str]) -> int:
    """Print the flags."""
    if not flags:
        raise UsageError("toy", "", "needs flags")
    print("toy:", *flags)
    return 7


commands.register(Command("toy", "prints its flags", run))
