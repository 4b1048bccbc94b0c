"""A command that prints, and then opens a file that the operating system refuses."""

from collections.abc import Sequence

from alexnet_dist.commands import Command
from alexnet_dist.registry import commands


def run(flags: Sequence[str]) -> int:
    print("begun")
    with open("/proc/nowhere/x"):
        return 0


commands.register(Command("toy_refused", "", run))
