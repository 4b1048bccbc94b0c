"""Paths as a shell would read them: files of settings, and quoted flags, reach the program as they were written."""

import os
import re

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")


def expanded(given: str) -> str:
    """With the home folder for ~, and the values of variables that are set; what exists by that very name is itself."""
    path = os.path.expanduser(given) if given.startswith("~") else given
    return path if os.path.lexists(path) else os.path.expandvars(path)


def unset_variable(path: str) -> str | None:
    """The first variable that `expanded` found no value for; None where there is none."""
    found = None if os.path.lexists(path) else _VARIABLE.search(path)
    return found and (found[1] or found[2])
