"""`alexnet-dist COMMAND`: finds the command, runs it, and turns its errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, USAGE, RunFailed, UsageError

if TYPE_CHECKING:
    from alexnet_dist.commands import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command's name and its flags; None takes this process's.

    Returns:
        The exit code.
    """
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except (UsageError, RunFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    # Whatever is slow is imported here and below, where a Ctrl-C is handled.
    from alexnet_dist.config.flags import asks_for_help
    from alexnet_dist.distributed.cores import bound_spinning
    from alexnet_dist.launcher.terminal import survive_lost_output

    survive_lost_output()
    bound_spinning(os.environ)
    if arguments[:1] in ([], ["--help"], ["-h"]):
        _print_help()
        return DONE
    name, *flags = arguments
    command = _command(name)
    if command.flags is not None and asks_for_help(flags):
        from alexnet_dist.config.help import help_text

        print(help_text(f"alexnet-dist {name}", command.about, command.flags))
        return DONE
    return command.run(flags)


def _command(name: str) -> Command:
    """A command of this program by its file alone, which is quick; a plugin's, and none, by the registry."""
    from importlib import import_module
    from pkgutil import iter_modules

    from alexnet_dist import commands, registry

    if name in (module.name for module in iter_modules(commands.__path__)):
        own: commands.Command = import_module(f"{commands.__name__}.{name}").COMMAND
        return own
    registered: commands.Command = registry.commands[name]
    return registered


def _print_help() -> None:
    from alexnet_dist import registry

    lines = [f"  {command.name:<11}{command.summary}" for command in registry.commands]
    more = "alexnet-dist COMMAND --help lists a command's flags; alexnet-dist completion bash completes them."
    print("usage: alexnet-dist COMMAND [flags]", "", *lines, "", more, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
