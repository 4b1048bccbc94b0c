"""`alexnet-dist COMMAND`: finds the command, runs it, and turns its errors into one line and an exit code."""

import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

from alexnet_dist import commands, registry
from alexnet_dist.errors import DONE, FAILED, USAGE, RunFailed, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command's name and its flags; None takes this process's.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments[:1] in ([], ["--help"], ["-h"]):
            _print_help()
            return DONE
        name, *flags = arguments
        return _command(name).run(flags)
    except (UsageError, RunFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else FAILED


def _command(name: str) -> commands.Command:
    """A command of this program by its file alone, which is quick; a plugin's, and none, by the registry."""
    if name in (module.name for module in pkgutil.iter_modules(commands.__path__)):
        own: commands.Command = import_module(f"{commands.__name__}.{name}").COMMAND
        return own
    registered: commands.Command = registry.commands[name]
    return registered


def _print_help() -> None:
    lines = [f"  {command.name:<10} {command.summary}" for command in registry.commands]
    print("alexnet-dist COMMAND [flags]", "", *lines, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
