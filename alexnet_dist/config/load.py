"""Where settings come from: defaults, then a YAML file, then dotted flags; a later source wins.

A file is data: no tags, no anchors, no duplicate names, at most a megabyte.
"""

import re
import textwrap
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import ValidationError

from alexnet_dist.config.schema import Experiment, Group, OneOf
from alexnet_dist.errors import UsageError

Kind = TypeVar("Kind", bound=Experiment)

MAX_BYTES = 1_000_000
MAX_DEPTH = 8
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)$")


class _PlainLoader(yaml.SafeLoader):
    """YAML without anchors (and so without bombs and cycles), and with 1e-3 read as a number."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.YAMLError("anchors and aliases are not allowed")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        for name in names:
            if not isinstance(name, str) or names.count(name) > 1:
                raise yaml.YAMLError(f"the name {name!r} is given twice or is not plain text")
        return super().construct_mapping(node, deep)


_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """Plain values of a YAML text.

    Raises:
        UsageError: whatever is wrong with it, naming `where` it stood.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(where, getattr(error, "problem", None) or error, f"not plain YAML{line}") from None


def read_file(path: str) -> dict[str, Any]:
    """The groups of an experiment file, not yet validated."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise UsageError("--config", path, error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise UsageError("--config", path, "not a text file: experiment files are YAML in UTF-8") from None
    if len(raw) > MAX_BYTES:
        raise UsageError("--config", path, f"larger than {MAX_BYTES} bytes: experiment files are small")
    values = parse_yaml(text, path)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError("--config", path, f"must hold groups such as 'train:', not a {type(values).__name__}")
    for group, fields in values.items():
        if not isinstance(fields, dict):
            raise UsageError(f"{path}: {group}", fields, "a group holds fields, such as 'train: {epochs: 2}'")
    return values


def read_flags(flags: list[str], kind: type[Experiment] = Experiment) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """Split `--config FILE` and `--group.field value` (or `--group.field=value`) flags.

    Args:
        kind: whose groups and fields there may be.

    Returns:
        The config file, and the values by group and field.
    """
    config, values = None, dict[str, dict[str, Any]]()
    rest = list(flags)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            raise UsageError("command line", flag, "expected --config FILE or --group.field VALUE")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(flag, rest[0] if rest else "", "needs a value first")
            value = rest.pop(0)
        group, dot, field = flag[2:].partition(".")
        if flag == "--config":
            config = value
        elif dot:
            values.setdefault(group, {})[field] = (
                value if _is_text(kind, group, field, value) else parse_yaml(value, flag)
            )
        else:
            raise UsageError("command line", flag, f"unknown flag; groups are {', '.join(kind.model_fields)}")
    return config, values


def _is_text(kind: type[Experiment], group: str, field: str, value: str) -> bool:
    """Whether a field takes the word as it stands: a run may be called 2012, or no."""
    info = kind.model_fields.get(group)
    fields = info.annotation.model_fields if info is not None and info.annotation is not None else {}
    return field in fields and _has_text(fields[field].annotation) and value != "null"


def _has_text(annotation: Any) -> bool:
    return annotation is str or (
        get_origin(annotation) is not list and any(_has_text(inner) for inner in get_args(annotation))
    )


def as_flags(experiment: Experiment) -> list[str]:
    """The fields that somebody set, as the flags of a training run that set them so."""
    words = []
    for group in Experiment.model_fields:
        for field in sorted(getattr(experiment, group).model_fields_set):
            value = getattr(getattr(experiment, group), field)
            if not isinstance(value, str):
                value = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
            words += [f"--{group}.{field}", value]
    return words


def load(flags: list[str]) -> Experiment:
    """The experiment that the flags (and the file they name) describe, validated but not yet resolved.

    Raises:
        UsageError: the first thing that is wrong.
    """
    return load_as(Experiment, flags)


def load_as(kind: type[Kind], flags: list[str]) -> Kind:
    """The same for an experiment with more groups."""
    config, overrides = read_flags(flags, kind)
    values = read_file(config) if config is not None else {}
    for group, fields in overrides.items():
        values[group] = {**values.get(group, {}), **fields}
    return validate_as(kind, values)


def validate(values: dict[str, Any]) -> Experiment:
    """An experiment from plain values."""
    return validate_as(Experiment, values)


def validate_as(kind: type[Kind], values: dict[str, Any]) -> Kind:
    """The same for an experiment with more groups."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        remedy = first["msg"]
        if first["type"] == "extra_forbidden":
            remedy = f"no such field; there are: {', '.join(_siblings(kind, first['loc']))}"
        raise UsageError(field, first["input"], remedy) from None


def _siblings(kind: type[Experiment], path: tuple[int | str, ...]) -> list[str]:
    group = kind.model_fields.get(str(path[0])) if len(path) > 1 else None
    place = group.annotation if group is not None else kind
    assert isinstance(place, type) and issubclass(place, Group)
    return list(place.model_fields)


def save(experiment: Experiment, path: Path) -> None:
    """Write a resolved experiment so that `--config` reads the same one back."""
    path.write_text(yaml.safe_dump(experiment.model_dump(), sort_keys=False))


def describe(resolved: Experiment, given: Experiment) -> str:
    """The whole experiment as YAML, with a note at what the user set and at what followed from the rest."""
    defaults, lines = Experiment(), []
    for group in Experiment.model_fields:
        lines.append(f"{group}:")
        before, default = getattr(given, group), getattr(defaults, group)
        for field, value in getattr(resolved, group).model_dump().items():
            text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
            if getattr(before, field) != getattr(default, field):
                text += f"  # set; default: {getattr(default, field)}"
            elif value != getattr(default, field):
                text += "  # follows from the rest"
            lines.append(f"  {field}: {text}")
    return "\n".join(lines)


def fields_help(kind: type[Experiment] = Experiment) -> str:
    """Every dotted flag with its meaning, its allowed values where they are few, and its default."""
    lines = []
    for group, info in kind.model_fields.items():
        assert isinstance(info.annotation, type) and issubclass(info.annotation, Group)
        for field, detail in info.annotation.model_fields.items():
            default = yaml.safe_dump(detail.default, default_flow_style=True).removesuffix("...\n").strip()
            choices = " | ".join(choice for part in (detail.annotation, *detail.metadata) for choice in _choices(part))
            flag, meaning = f"--{group}.{field}", f"{detail.description}{choices and f' ({choices})'} [{default}]"
            lines += textwrap.wrap(f"  {flag:<27} {meaning}", 100, subsequent_indent=" " * 30)
    return "\n".join(lines)


def _choices(annotation: Any) -> list[str]:
    """The values of a Literal or a registry's names, also inside a union or a list."""
    if isinstance(annotation, OneOf):
        return list(annotation.choices())
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]
