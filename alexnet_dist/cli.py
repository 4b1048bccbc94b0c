"""`alexnet-dist COMMAND`: finds the command, runs it, and turns its errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, USAGE, RunFailed, RunRefused, UsageError, closest, reason_of

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
        reason, code = str(error), USAGE if isinstance(error, UsageError | RunRefused) else FAILED
    except (OSError, ImportError) as error:  # the machine or the installation is at fault
        reason, code = reason_of(error), FAILED
    except KeyboardInterrupt:
        reason, code = "interrupted", INTERRUPTED
    except Exception as error:
        from alexnet_dist.imports import refused_variable

        if (refusal := refused_variable(error)) is None:
            raise
        reason, code = str(refusal), USAGE
    sys.stdout.flush()  # so that the reason comes last where both streams go into one file
    print(f"error: {reason}", file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    # Whatever is slow is imported here and below, where a Ctrl-C is handled.
    from alexnet_dist.config.flags import asks_for_help
    from alexnet_dist.distributed.cores import bound_spinning
    from alexnet_dist.imports import drop_empty_torch_logs, refuse_malformed_allocator
    from alexnet_dist.launcher.terminal import refused_output, survive_empty_size, survive_lost_output

    survive_lost_output()
    survive_empty_size(os.environ)
    drop_empty_torch_logs(os.environ)
    refuse_malformed_allocator(os.environ)
    bound_spinning(os.environ)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if arguments[:1] in ([], ["--help"], ["-h"]):
        _print_help()
        return DONE
    if arguments[0] in ("--version", "-V", "version"):
        _print_version()
        return DONE
    name, *flags = arguments
    command = _command(name)
    if command.flags is not None and asks_for_help(flags):
        from alexnet_dist.config.help import help_text

        print(help_text(f"alexnet-dist {name}", command.about, command.flags))
        return DONE
    _check_working_folder()
    code = command.run(flags)
    if code == DONE and not command.records and (error := refused_output()) is not None:
        raise RunFailed(f"output: {reason_of(error)}: not all of it was written")
    return code


def _command(name: str) -> Command:
    """The command of a name: the program's own from its file only, which is quick; any other from the registry."""
    from importlib import import_module
    from pkgutil import iter_modules

    from alexnet_dist import commands, registry

    if name.startswith("-"):
        near = closest(name, ("--help", "--version"))
        raise UsageError("command", name, f"did you mean {near}?" if near else "a command comes first, then its flags")
    if name in (module.name for module in iter_modules(commands.__path__)):
        own: commands.Command = import_module(f"{commands.__name__}.{name}").COMMAND
        return own
    registered: commands.Command = registry.commands[name]
    return registered


def _check_working_folder() -> None:
    """Refuse a working folder that was deleted: torch cannot be imported from there."""
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError("working folder", "", f"{error.strerror}: change to one that exists") from None


def _print_version() -> None:
    from alexnet_dist.telemetry.versions import versions

    found = versions()
    shown = ", ".join(
        f"{name} {found[name]}" for name in ("alexnet-dist", "commit", "python", "torch") if name in found
    )
    print(shown)


def _print_help() -> None:
    from alexnet_dist import registry

    lines = [f"  {command.name:<11}{command.summary}" for command in registry.commands]
    more = (
        "alexnet-dist COMMAND --help lists a command's flags; alexnet-dist completion bash completes them.\n"
        "alexnet-dist --version names the version."
    )
    print("usage: alexnet-dist COMMAND [flags]", "", *lines, "", more, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
