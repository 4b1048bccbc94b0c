"""What `--help` prints for a command: its own flags and the fields of an experiment, from the schema."""

import inspect
import textwrap
from typing import Any

from pydantic.fields import FieldInfo

from alexnet_dist.config.fields import bounds, choices, default, form, is_list
from alexnet_dist.config.flags import CONFIG, Flag, Flags

WIDTH = 100
INDENT = 34


def help_text(program: str, about: str, flags: Flags[Any]) -> str:
    """Plain text of at most 100 columns.

    Args:
        program: as it is typed, `alexnet-dist train`.
        about: what the command does, with examples.
    """
    lines = [*_usage(program, flags), "", about.strip()]
    if flags.own_flags or flags.argument:
        lines += ["", "flags"]
        if flags.argument is not None:
            name, info = flags.argument
            lines += _row(name.upper(), info)
        lines += _rows(flags.own_flags)
    if flags.experiment is not None:
        lines += ["", "experiment", *_row(f"--{CONFIG} FILE", flags.named[CONFIG].info)]
        for group, fields in flags.groups.items():
            kind = flags.experiment.model_fields[group].annotation
            also = f" Each flag also without '{group}.'." if group == flags.short else ""
            lines += ["", f"{group}: {inspect.getdoc(kind) or ''}{also}", *_rows(fields)]
    return "\n".join(lines)


def _usage(program: str, flags: Flags[Any]) -> list[str]:
    own = flags.own_flags.values()
    words = [_with_form(flag) if flag.info.is_required() else f"[{_with_form(flag)}]" for flag in own]
    if flags.experiment is not None:
        words += ["[--config FILE]", "[--GROUP.FIELD VALUE]…"]
    if flags.argument is not None:
        name, info = flags.argument
        words.append(f"{name.upper()}{'…' if is_list(info) else ''}")
    if flags.follows:
        words.append(f"-- [{flags.follows}]…")
    usage = f"usage: {program} "
    # A flag and its value stay on one line.
    joined = " ".join(word.replace(" ", "\0") for word in words)
    return [
        line.replace("\0", " ")
        for line in textwrap.wrap(
            usage + joined, WIDTH, subsequent_indent=" " * len(usage), break_on_hyphens=False, break_long_words=False
        )
    ]


def _rows(flags: dict[str, Flag]) -> list[str]:
    return [line for flag in flags.values() for line in _row(_with_form(flag), flag.info)]


def _with_form(flag: Flag) -> str:
    return flag.typed if flag.is_switch else f"{flag.typed} {form(flag.info)}"


def _row(name: str, info: FieldInfo) -> list[str]:
    """A flag and its meaning, in two columns; a long flag has a line of its own."""
    allowed = " | ".join(choices(info)) or bounds(info)
    given = default(info) if " " in name else ""
    meaning = f"{info.description}{f' ({allowed})' if allowed else ''}{f' [{given}]' if given else ''}"
    left, lines = f"  {name}", []
    if len(left) > INDENT - 2:
        lines, left = [left], ""
    wrapped = textwrap.wrap(meaning, WIDTH - INDENT, break_on_hyphens=False) or [""]
    return [*lines, f"{left:<{INDENT}}{wrapped[0]}", *(" " * INDENT + line for line in wrapped[1:])]
