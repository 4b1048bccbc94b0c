"""Paths as a shell would read them: files of settings, and quoted flags, reach the program as they were written."""

import os
import re

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")


def expanded(given: str) -> str:
    """With $NAME and ${NAME}, and then ~, replaced; names on the disk that hold a $ are kept.

    Raises:
        ValueError: what cannot be replaced, and the remedy.
    """
    end = given.find("/", given.rfind("$"))
    if "$" in given and os.path.lexists(given if end < 0 else given[:end]):
        path = given
    else:
        path = _VARIABLE.sub(_value, given)
        if "${" in given and "${" in _VARIABLE.sub("", given):
            raise ValueError("only $NAME and ${NAME} are replaced: write the path out")
    if path.startswith("~") and not os.path.lexists(path):
        path = os.path.expanduser(path)
        if path.startswith("~"):
            raise ValueError("there is no such home folder: name another, or set HOME")
    return path


def _value(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    if not (value := os.environ.get(name)):
        raise ValueError(f"the variable {name} is not set, or is empty: set it, or write the path out")
    return value
