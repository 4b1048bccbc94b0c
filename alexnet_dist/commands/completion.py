"""`alexnet-dist completion`: what a shell needs to complete commands, flags and their values."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo

from alexnet_dist.commands import Command
from alexnet_dist.config.fields import choices, has_role, is_boolean, is_list
from alexnet_dist.config.flags import Flag, Flags
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import Group, Role
from alexnet_dist.errors import DONE
from alexnet_dist.registry import commands

ABOUT = """Completion of commands, flags and their values on the TAB key, plugins included.

alexnet-dist completion bash > ~/.local/share/bash-completion/completions/alexnet-dist
alexnet-dist completion zsh > ~/.zfunc/_alexnet-dist       with ~/.zfunc in fpath
"""


class CompletionFlags(Group):
    shell: Annotated[Literal["bash", "zsh"], Role.ARGUMENT] = Field(description="which shell reads it")


FLAGS = Flags(CompletionFlags)


def run(flags: Sequence[str]) -> int:
    """Print the shell's script.

    Raises:
        UsageError: there is none for the shell.
    """
    own, _ = FLAGS.split(flags)
    import shtab

    script = shtab.complete(_parser(), own.shell)
    # shtab completes no flags after "--", but those of a training run follow that of `launch`.
    print(script.replace('pos_only=1 # "--"', 'pos_only=0 # "--"'))
    return DONE


def _parser() -> argparse.ArgumentParser:
    """argparse's view of every command; nothing is parsed with it."""
    parser = argparse.ArgumentParser("alexnet-dist")
    subparsers = parser.add_subparsers()
    for command in commands:
        own = subparsers.add_parser(command.name, help=command.summary, description=command.summary)
        if command.flags is not None:
            _add(own, command.flags)
    return parser


def _add(parser: argparse.ArgumentParser, flags: Flags[Any]) -> None:
    named = dict(flags.named)
    if flags.follows:
        named = Flags(Group, Experiment).named | named
    for name, flag in named.items():
        typed = Flag(name, flag.info).typed  # by this name: a field of a short group has two
        if flag.is_switch:
            parser.add_argument(typed, action="store_true", help=_escaped(flag.info))
        else:
            _complete(parser.add_argument(typed, help=_escaped(flag.info)), flag.info)
    if flags.argument is not None:
        name, info = flags.argument
        _complete(parser.add_argument(name, nargs="+" if is_list(info) else None, help=_escaped(info)), info)


def _complete(action: argparse.Action, info: FieldInfo) -> None:
    """Set what completes a flag's value."""
    if has_role(info, Role.PATH):
        import shtab

        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif is_boolean(info):
        action.choices = ["true", "false"]
    else:
        action.choices = choices(info) or None


def _escaped(info: FieldInfo) -> str:
    """A description in which argparse finds no format."""
    return (info.description or "").replace("%", "%%")


COMMAND = commands.register(
    Command("completion", "for bash and zsh: complete commands, flags and values", run, FLAGS, ABOUT)
)
