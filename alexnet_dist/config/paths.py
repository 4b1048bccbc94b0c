"""Paths as a shell would read them: files of settings, and quoted flags, reach the program as they were written."""

import os
import re

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")


def expanded(given: str) -> str:
    """With variables that have a value, and then ~, replaced; a path that exists as it is written is kept."""
    if os.path.lexists(given):
        return given
    path = _VARIABLE.sub(lambda found: os.environ.get(found[1] or found[2]) or found[0], given)
    return os.path.expanduser(path) if path.startswith("~") else path


def unset_variable(given: str) -> str | None:
    """The first variable in a path, as it is written, that has no value; None where there is none."""
    names = [] if os.path.lexists(given) else [found[1] or found[2] for found in _VARIABLE.finditer(given)]
    return next((name for name in names if not os.environ.get(name)), None)
