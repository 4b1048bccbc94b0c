"""With this folder on PYTHONPATH a process finds a file system without locks, as some network mounts are."""

import errno
import fcntl
from typing import Any, NoReturn


def _lockf(*_: Any) -> NoReturn:
    raise OSError(errno.ENOLCK, "No locks available")


fcntl.lockf = _lockf
