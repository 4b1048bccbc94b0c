"""Kinds of values that fields take: names in a registry, paths, normalisations; and the base class of their groups."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from alexnet_dist import registry
from alexnet_dist.config.paths import expanded


class Role(Enum):
    """Marks a field by what its value is for."""

    PATH = "a file, or a folder"
    ARGUMENT = "of a command's own fields, the one that is given without a flag"


@dataclass(frozen=True)
class OneOf:
    """Marks a text field whose value names an entry of a registry, or is one of some further words.

    Names are looked up when a value is checked, not when this module is imported: plugins may import it.
    """

    registry: registry.Registry
    further: tuple[str, ...] = ()

    def choices(self) -> tuple[str, ...]:
        return (*self.further, *self.registry.names())

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        *others, last = (f"'{choice}'" for choice in self.choices())
        if value not in self.choices():
            raise PydanticCustomError(
                "one_of", "Input should be {choices}", {"choices": " or ".join([", ".join(others), last])}
            )
        return value


def _check_normalise(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        checked = handler(value)
        if isinstance(checked, str) or (len({len(part) for part in checked}) == 1 and min(checked[1], default=0) > 0):
            return checked
    except ValidationError:
        pass
    form = (
        "Input should be 'none', 'imagenet', 'mean_image' or [[mean, …], [deviation, …]], a value per channel, "
        "deviations above 0"
    )
    raise PydanticCustomError("normalise", form)


def _check_views(value: Any) -> Any:
    """True and 1.0 equal 1, and would pass for it."""
    if type(value) is not int:
        raise PydanticCustomError("views", "Input should be 1 or 10")
    return value


Normalise = Annotated[
    Literal["none", "imagenet", "mean_image"] | Annotated[list[list[float]], Field(min_length=2, max_length=2)],
    WrapValidator(_check_normalise),
]


def _check_on_this_machine(given: str) -> str:
    if "://" in given:
        problem = "Input should be on a disk of this machine, not an address; only data.root takes one"
        raise PydanticCustomError("address", "{problem}", {"problem": problem})
    return given


def _check_path(given: str, info: ValidationInfo) -> str:
    """A path as it is used: with ~ and variables replaced, and no longer than file systems take."""
    try:
        if not given.encode() or "\0" in given:
            raise ValueError("Input should name a file or a folder")
        path = given if info.context is STORED else expanded(given)
        if len(path.encode()) > _MAX_PATH or any(len(name.encode()) > _MAX_NAME for name in path.split("/")):
            raise ValueError(f"Input should have at most {_MAX_NAME} bytes in a name and {_MAX_PATH} in all")
        return path
    except UnicodeEncodeError:  # a name of undecodable bytes: a run could not write its settings down
        problem = "Input should be a name in UTF-8; if it is one, set LC_ALL to a UTF-8 locale"
    except ValueError as error:
        problem = str(error)
    raise PydanticCustomError("path", "{problem}", {"problem": problem})


def _check_name(given: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", given):
        form = "Input should be at most 128 letters, digits, '.', '_' and '-', a letter or digit first"
        raise PydanticCustomError("name", "{form}", {"form": form})
    return given


def _check_distinct(given: list[Any]) -> list[Any]:
    for value in given:
        if given.count(value) > 1:
            raise PydanticCustomError("distinct", "{value} is given twice", {"value": value})
    return given


_MAX_NAME, _MAX_PATH = 255, 4095  # bytes, on Linux; 255 and 1,024 on macOS
STORED = object()
"""The context for validating what a run has written: its paths are as they were used."""

NetName = Annotated[str, OneOf(registry.nets)]
DataName = Annotated[str, OneOf(registry.data_sets)]
AugmentationName = Annotated[str, OneOf(registry.augmentations)]
StrategyName = Annotated[str, OneOf(registry.strategies, ("auto",))]
OptimizerName = Annotated[str, OneOf(registry.optimizers)]
ScheduleName = Annotated[str, OneOf(registry.schedules)]
PrecisionName = Annotated[str, OneOf(registry.precisions)]
TrackerName = Annotated[str, OneOf(registry.trackers)]
Crossing = Literal["conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
Views = Annotated[Literal[1, 10], BeforeValidator(_check_views)]
PathOrAddress = Annotated[str, Role.PATH, AfterValidator(_check_path)]
FilePath = Annotated[PathOrAddress, AfterValidator(_check_on_this_machine)]
Name = Annotated[str, AfterValidator(_check_name)]
Distinct = AfterValidator(_check_distinct)


class Group(BaseModel):
    """A group of fields: unknown names and wrong types are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, serialize_by_alias=True)
