"""The flags of a command: one for each of its own fields and one for each field of an experiment.

Names are read with dashes and with underscores; `--flag value` and `--flag=value` are the same; a later one wins.
"""

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from alexnet_dist.config.fields import (
    choices,
    fields_of,
    has_role,
    is_boolean,
    is_list,
    is_number,
    is_optional,
    is_text,
    takes_words,
)
from alexnet_dist.config.plain_yaml import parse_yaml
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.errors import UsageError, closest, one_of
from alexnet_dist.registry import PLUGINS

CONFIG = "config"
HELP = ("-h", "--help")
MOST_SUGGESTED = 3
LEFT_OUT = "; null leaves it out"


class _File(Group):
    config: FilePath | None = Field(
        None,
        description="an experiment in YAML, as in configs/; given several times, a later file wins; flags win over all",
    )


Own = TypeVar("Own", bound=Group)


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: `train.global_batch` for a field of an experiment, `max_restarts` for one of a command's own.
        info: its field in the schema.
    """

    name: str
    info: FieldInfo

    @property
    def typed(self) -> str:
        """As help writes it: `--train.global_batch`, `--max-restarts`."""
        return f"--{self.name}" if "." in self.name else f"--{self.name.replace('_', '-')}"

    @property
    def is_switch(self) -> bool:
        """Whether it needs no value."""
        return "." not in self.name and is_boolean(self.info)

    def value(self, word: str) -> Any:
        """The plain value that a word stands for; a list needs no brackets.

        Raises:
            UsageError: it is empty, as an unset variable of the shell leaves it, or not plain YAML.
        """
        if is_text(self.info):
            return None if word == "null" else word
        if not word.strip():
            raise UsageError(self.typed, "", "needs a value" + (LEFT_OUT if is_optional(self.info) else ""))
        value = parse_yaml(word, self.typed)
        if is_list(self.info) and value is not None and not isinstance(value, list):
            value = parse_yaml(f"[{word}]", self.typed)
        return value


@dataclass(frozen=True)
class Flags(Generic[Own]):
    """What a command takes, besides `--help`.

    Attributes:
        own: a field for each flag of its own.
        experiment: its fields are flags, too; None where the command has no experiment.
        short: a group of the experiment whose name its flags may leave out.
        follows: what may follow `--`, in words.
        overridden: fields of the experiment that the command sets itself: accepted, but never suggested.
    """

    own: type[Own]
    experiment: type[Experiment] | None = None
    short: str | None = None
    follows: str = ""
    overridden: Collection[str] = ()

    @cached_property
    def own_flags(self) -> dict[str, Flag]:
        """By name; without the argument."""
        fields = {info.alias or name: info for name, info in self.own.model_fields.items()}
        return {name: Flag(name, info) for name, info in fields.items() if not has_role(info, Role.ARGUMENT)}

    @cached_property
    def argument(self) -> tuple[str, FieldInfo] | None:
        """The field that is given without a flag."""
        return next((item for item in self.own.model_fields.items() if has_role(item[1], Role.ARGUMENT)), None)

    @cached_property
    def groups(self) -> dict[str, dict[str, Flag]]:
        """Flags of the experiment by group, each by field; the short group first."""
        groups = dict(self.experiment.model_fields) if self.experiment is not None else {}
        if self.short is not None:
            groups = {self.short: groups.pop(self.short), **groups}
        return {
            group: {field: Flag(f"{group}.{field}", detail) for field, detail in fields_of(info).items()}
            for group, info in groups.items()
        }

    @cached_property
    def named(self) -> dict[str, Flag]:
        """Every flag by each of its names."""
        named = dict(self.own_flags)
        if self.experiment is not None:
            named[CONFIG] = Flag(CONFIG, _File.model_fields[CONFIG])
        for group, fields in self.groups.items():
            named |= {flag.name: flag for flag in fields.values()}
            if group == self.short:
                named |= fields
        return named

    def split(self, words: Sequence[str]) -> tuple[Own, list[str]]:
        """A command's own flags, validated, and the words that describe the experiment, each `--group.field=value`.

        Raises:
            UsageError: there is no such flag, or one of the command's own is wrong.
        """
        values: dict[str, Any] = {}
        rest = []
        for flag, word in self.read(words):
            if flag is None:
                self._take_argument(word, values)
            elif flag.name not in self.own_flags:
                rest.append(f"--{flag.name}={word}")
            elif takes_words(flag.info):
                values.setdefault(flag.name, []).append(word)
            else:
                values[flag.name] = flag.value(word)
        return self._validated(values), rest

    def read(self, words: Sequence[str]) -> Iterator[tuple[Flag | None, str]]:
        """Each flag with the word that is its value; None for a word without a flag.

        Raises:
            UsageError: there is no such flag, or it lacks its value.
        """
        rest = deque(words)
        while rest:
            word = rest.popleft()
            if not word.startswith("--"):
                yield None, word
                continue
            typed, equals, value = word.partition("=")
            flag = self.named.get(typed[2:].replace("-", "_"))
            if flag is None:
                raise self._unknown(typed, value if equals else next(iter(rest), ""))
            if not equals:
                if flag.is_switch:
                    value = "true"
                elif not rest or rest[0].startswith("--"):
                    raise UsageError(typed, rest[0] if rest else "", "needs a value first" if rest else "needs a value")
                else:
                    value = rest.popleft()
            yield flag, value

    def overridden_in(self, given: Experiment) -> list[str]:
        """Fields that the user set and the command sets itself, one line each."""
        found = []
        for name in self.overridden:
            group, _, field = name.partition(".")
            fields = getattr(given, group)
            if field in fields.model_fields_set:
                found.append(f"{name}: {getattr(fields, field)} has no effect: the command sets it")
        return found

    def _take_argument(self, word: str, values: dict[str, Any]) -> None:
        if self.argument is None:
            meant = " or ".join(f"{typed} {word}" for typed in self._flags_for(word)[:MOST_SUGGESTED])
            remedy = f"did you mean {meant}?" if meant else "a flag goes before a value; see --help"
            raise UsageError("command line", word, remedy)
        name, info = self.argument
        if is_list(info):
            values.setdefault(name, []).append(word)
        elif name in values:
            raise UsageError("command line", word, f"{values[name]} was given already")
        else:
            values[name] = word

    def _flags_for(self, word: str) -> list[str]:
        """Flags that may be missing before a value: --config for a YAML file; else those that have it as a choice; else
        the command's required ones."""
        if CONFIG in self.named and word.endswith((".yaml", ".yml")):
            return [f"--{CONFIG}"]
        taking = [flag.typed for flag in self._suggested(self.named).values() if word in choices(flag.info)]
        needed = [flag.typed for flag in self.own_flags.values() if flag.info.is_required()]
        return list(dict.fromkeys(taking)) or needed

    def _validated(self, values: Mapping[str, Any]) -> Own:
        try:
            return self.own.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            name = str(first["loc"][0])
            if self.argument is not None and name == self.argument[0]:
                typed, info = name.upper(), self.argument[1]
            else:
                typed, info = self.own_flags[name].typed, self.own_flags[name].info
            if first["type"] == "missing":
                raise UsageError(typed, "", f"is needed: {info.description}") from None
            raise UsageError(typed, shown(first["input"]), remedy(first, info)) from None

    def _unknown(self, typed: str, value: str) -> UsageError:
        name = typed.removeprefix("--").replace("-", "_")
        shown = name if "." in name else typed
        if self.follows and ("." in name or name == CONFIG):
            return UsageError(shown, value, f"belongs after --, among the {self.follows}")
        if self.argument is not None and name == self.argument[0]:
            return UsageError(typed, value, f"is given without a flag: leave out {typed}, and write its value alone")
        groups = {group: self._suggested(fields) for group, fields in self.groups.items()}
        return UsageError(shown, value, unknown_field(name, groups, self._suggested(self.named)))

    def _suggested(self, flags: Mapping[str, Flag]) -> dict[str, Flag]:
        return {name: flag for name, flag in flags.items() if flag.name not in self.overridden}


def unknown_field(name: str, groups: Mapping[str, Mapping[str, Flag]], named: Mapping[str, Flag]) -> str:
    """The remedy for an unknown flag or field."""
    group, dot, _ = name.rpartition(".")
    kind = "no such field" if dot else "unknown flag"
    if found := _meant(name, groups, named):
        return f"{kind}: did you mean {' or '.join(flag.typed.removeprefix('--' if dot else '') for flag in found)}?"
    if group in groups:
        return f"{kind}; there are: {', '.join(groups[group])}"
    return f"no such group; {one_of(group, groups)}" if groups and dot else f"{kind}; see --help"


def _meant(name: str, groups: Mapping[str, Mapping[str, Flag]], named: Mapping[str, Flag]) -> list[Flag]:
    """Flags that may be meant by a name: of the same field in the group that comes nearest, or in others; or alike."""
    if "name" in groups.get(name, {}):
        return [groups[name]["name"]]
    group, _, field = name.rpartition(".")
    likely = groups.get(group) or groups.get(closest(group, groups), {})
    if field in likely:
        return [likely[field]]
    elsewhere = [fields[field] for fields in groups.values() if field in fields]
    if 0 < len(elsewhere) <= MOST_SUGGESTED:
        return elsewhere
    for flags, typed in ((likely, field), (named, name)):
        if near := closest(typed, flags):
            return [flags[near]]
    return []


def remedy(problem: Mapping[str, Any], info: FieldInfo) -> str:
    """What pydantic says of a value, and the choice that comes nearest to it."""
    given, is_choice = str(problem["input"]), problem["type"] in ("one_of", "literal_error")
    near = closest(given, choices(info)) if is_choice and any(map(str.isalpha, given)) else ""  # no number is mistyped
    if problem["type"] == "one_of" and not near:
        return f"{problem['msg']}, or another that a module in {PLUGINS} registers"
    if is_number(info) and re.fullmatch(r"-?\d+,\d+", given):
        near = given.replace(",", ".")
    if not is_choice and not is_text(info) and _is_quoted(problem["input"]):
        return f"{problem['msg']}, and this is text: leave the quotation marks out"
    return f"did you mean {near}? {problem['msg']}" if near else str(problem["msg"])


def _is_quoted(value: Any) -> bool:
    """Whether a text would be a number, a boolean, … without its quotation marks in a file."""
    try:
        return isinstance(value, str) and not isinstance(parse_yaml(value, ""), str | None)
    except UsageError:
        return False


def shown(value: Any) -> Any:
    """A value as an error message shows it. In a file, an empty value is null, too."""
    return "null (empty)" if value is None else value


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether a flag before `--` is `-h` or `--help`."""
    before = words[: words.index("--")] if "--" in words else words
    return any(word in HELP for word in before)
