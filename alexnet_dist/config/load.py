"""Where settings come from: defaults, then YAML files, then dotted flags; a later source wins, field by field.

A file is data: no tags, no anchors, no duplicate names, at most a megabyte.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from alexnet_dist.config.fields import fields_of, is_number, is_optional, is_text
from alexnet_dist.config.flags import CONFIG, LEFT_OUT, Flags, remedy, shown, unknown_field
from alexnet_dist.config.paths import expanded
from alexnet_dist.config.plain_yaml import one_line, parse_yaml
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import STORED, Group
from alexnet_dist.errors import UsageError, one_of

Kind = TypeVar("Kind", bound=Experiment)

MAX_BYTES = 1_000_000


def read_file(path: str, kind: type[Experiment] = Experiment) -> dict[str, Any]:
    """The groups of an experiment file, not yet validated.

    Args:
        kind: the class whose groups and fields are allowed.
    """
    if "://" in path:
        raise UsageError("--config", path, "must be on a disk of this machine, not an address")
    try:
        name = expanded(path)
    except ValueError as error:
        raise UsageError("--config", path, str(error)) from None
    try:
        with open(name, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        relative = isinstance(error, FileNotFoundError) and not os.path.isabs(name)
        seen_from = f", seen from {os.getcwd()}" if relative else ""
        raise UsageError("--config", path, (error.strerror or "cannot be read") + seen_from) from None
    except UnicodeDecodeError:
        raise UsageError("--config", path, "not a text file: experiment files are YAML in UTF-8") from None
    if len(raw) > MAX_BYTES:
        raise UsageError("--config", path, f"larger than {MAX_BYTES} bytes: experiment files are small")
    values = parse_yaml(text, path, lambda group, field: _takes_words(kind, group, field))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError("--config", path, f"must hold groups such as 'train:', not a {type(values).__name__}")
    for group, fields in values.items():
        if not isinstance(fields, dict):
            raise UsageError(f"{path}: {group}", shown(fields), "a group holds fields, such as 'train: {epochs: 2}'")
    return values


def _takes_words(kind: type[Experiment], group: str, field: str) -> bool:
    fields = fields_of(kind.model_fields[group]) if group in kind.model_fields else {}
    return field in fields and is_text(fields[field])


def read_flags(
    words: Sequence[str], kind: type[Experiment] = Experiment
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Split `--config FILE` and `--group.field value` (or `--group.field=value`) flags.

    Args:
        kind: the class whose groups and fields are allowed.

    Returns:
        The config files, and the values by group and field.
    """
    configs, values = list[str](), dict[str, dict[str, Any]]()
    for flag, word in Flags(Group, kind).read(words):
        if flag is None:
            raise UsageError("command line", word, "expected --config FILE or --group.field VALUE")
        if flag.name == CONFIG:
            configs.append(word)
        else:
            group, _, field = flag.name.partition(".")
            values.setdefault(group, {})[field] = flag.value(word)
    return configs, values


def as_flags(experiment: Experiment) -> list[str]:
    """The fields that somebody set, as the flags of a training run that set them so."""
    words = []
    for group in Experiment.model_fields:
        for field, value in sorted(getattr(experiment, group).model_dump(exclude_unset=True).items()):
            words += [f"--{group}.{field}", value if isinstance(value, str) else one_line(value)]
    return words


def load(flags: Sequence[str]) -> Experiment:
    """The experiment that the flags (and the files they name) describe, validated but not yet resolved.

    Raises:
        UsageError: the first thing that is wrong.
    """
    return load_as(Experiment, flags)


def load_as(kind: type[Kind], flags: Sequence[str]) -> Kind:
    """The same for an experiment with more groups."""
    configs, overrides = read_flags(flags, kind)
    values: dict[str, Any] = {}
    for source in (*(read_file(config, kind) for config in configs), overrides):
        for group, fields in source.items():
            values[group] = {**values.get(group, {}), **fields}
    return validate_as(kind, values)


def validate(values: dict[str, Any], stored: bool = False) -> Experiment:
    """An experiment from plain values.

    Args:
        stored: a run has written them, with its paths as they were used.
    """
    return validate_as(Experiment, values, STORED if stored else None)


def validate_as(kind: type[Kind], values: dict[str, Any], context: object = None) -> Kind:
    """The same for an experiment with more groups."""
    try:
        return kind.model_validate(values, context=context)
    except ValidationError as error:
        raise _refusal(kind, error.errors(include_url=False, include_context=False)[0]) from None


def _refusal(kind: type[Experiment], problem: Mapping[str, Any]) -> UsageError:
    """One line for what is wrong with a value, or for an unknown name."""
    place = [str(part) for part in problem["loc"]]
    name, group = ".".join(place), place[0]
    if problem["type"] != "extra_forbidden" and len(place) > 1:
        info = fields_of(kind.model_fields[group])[place[1]]
        off = LEFT_OUT if is_number(info) and is_optional(info) else ""
        return UsageError(name, shown(problem["input"]), remedy(problem, info) + off)
    if problem["type"] != "extra_forbidden":
        return UsageError(name, problem["input"], problem["msg"])
    if len(place) == 1:
        return UsageError(name, problem["input"], f"no such group; {one_of(name, kind.model_fields)}")
    flags = Flags(Group, kind)
    return UsageError(name, problem["input"], unknown_field(name, flags.groups, flags.named))


def as_yaml(experiment: Experiment) -> str:
    """The text of a file from which `--config` reads the same experiment back."""
    return yaml.safe_dump(experiment.model_dump(), sort_keys=False)


def describe(resolved: Experiment, given: Experiment) -> str:
    """The whole experiment as YAML, with a note at what the user set and at what followed from the rest."""
    defaults, lines = Experiment(), []
    for group in Experiment.model_fields:
        lines.append(f"{group}:")
        before, default = getattr(given, group).model_dump(), getattr(defaults, group).model_dump()
        for field, value in getattr(resolved, group).model_dump().items():
            text = one_line(value)
            if before[field] != default[field]:
                text += f"  # set; default: {one_line(default[field])}"
            elif value != default[field]:
                text += "  # follows from the rest"
            lines.append(f"  {field}: {text}")
    return "\n".join(lines)
