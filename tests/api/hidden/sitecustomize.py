"""On the path of a program that test_api.py starts: some packages are not installed."""

from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

HIDDEN = {"deepspeed", "wandb", "matplotlib", "jinja2"}
_find = PathFinder.find_spec


def _find_others(name: str, *places: Any) -> ModuleSpec | None:
    return None if name.partition(".")[0] in HIDDEN else _find(name, *places)


PathFinder.find_spec = _find_others  # type: ignore[method-assign, assignment]
