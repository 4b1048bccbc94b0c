"""What the schema says about a field: its choices, its bounds, and how it is written."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from alexnet_dist.config.plain_yaml import one_line
from alexnet_dist.config.values import OneOf, Role


def parts(annotation: Any) -> Iterator[Any]:
    """Every type and every metadata item in an annotation, from outside in."""
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
        return
    origin = get_origin(annotation)
    if origin in (Annotated, Union, UnionType):
        for inner in get_args(annotation):
            yield from parts(inner)
        return
    yield annotation
    if origin is list:
        yield from parts(get_args(annotation)[0])


def marks(info: FieldInfo) -> list[Any]:
    """Every type and every metadata item of a field."""
    return [*parts(info.annotation), *info.metadata]


def choices(info: FieldInfo) -> list[str]:
    """The words that a field takes, or those that its list may hold; empty where it takes anything else."""
    found: list[str] = []
    for part in marks(info):
        if isinstance(part, OneOf):
            found += part.choices()
        elif get_origin(part) is Literal:
            found += [str(value) for value in get_args(part)]
    return found


def _outer(info: FieldInfo) -> set[Any]:
    """The kinds of value that a field takes: str for words, list, int, …"""
    annotation = info.annotation
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = set()
    for member in members:
        part = next(parts(member))
        origin = get_origin(part)
        kinds.add(list if origin is list else type(get_args(part)[0]) if origin is Literal else part)
    return kinds - {NoneType}


def is_text(info: FieldInfo) -> bool:
    """Whether it takes any word as text: a run may be called 2012, or no."""
    return _outer(info) == {str}


def is_list(info: FieldInfo) -> bool:
    return _outer(info) == {list}


def is_number(info: FieldInfo) -> bool:
    return _outer(info) <= {int, float}


def is_optional(info: FieldInfo) -> bool:
    """Whether it takes null."""
    return NoneType in get_args(info.annotation)


def takes_words(info: FieldInfo) -> bool:
    """Whether it is a list of any words, which are given one by one."""
    return any(part == list[str] for part in marks(info)) or (is_list(info) and has_role(info, Role.PATH))


def is_boolean(info: FieldInfo) -> bool:
    return _outer(info) == {bool}


def has_role(info: FieldInfo, role: Role) -> bool:
    return role in marks(info)


def bounds(info: FieldInfo) -> str:
    """As "1 to 16", "above 0, up to 1000", "from 1"; empty where there are none."""
    low = high = ""
    for part in marks(info):
        match part:
            case Ge(number):
                low = f"from {_number(number)}"
            case Gt(number):
                low = f"above {_number(number)}"
            case Le(number):
                high = f"up to {_number(number)}"
            case Lt(number):
                high = f"below {_number(number)}"
    if low.startswith("from") and high.startswith("up to"):
        return f"{low.removeprefix('from ')} {high.removeprefix('up ')}"
    return ", ".join(filter(None, (low, high)))


def _number(number: Any) -> str:
    return str(int(number) if number == int(number) else number)


def form(info: FieldInfo) -> str:
    """A word for its value in help: N, X, NAME, …"""
    for kind, word in ((list, "A,B"), (bool, "BOOL"), (int, "N"), (float, "X")):
        if kind in _outer(info) and not takes_words(info):
            return word
    return "PATH" if has_role(info, Role.PATH) else "WORD"


def default(info: FieldInfo) -> str:
    """As a person would write it; empty where the description states the default."""
    value = info.get_default(call_default_factory=True, validated_data={})
    if value in (None, "", []) or info.is_required():
        return ""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else one_line(value)


def fields_of(group: FieldInfo) -> dict[str, FieldInfo]:
    """The fields of a group of an experiment, by the name that users write."""
    assert isinstance(group.annotation, type) and issubclass(group.annotation, BaseModel)
    return {info.alias or name: info for name, info in group.annotation.model_fields.items()}
