"""Imports of torch and Accelerate: made faster, interruptible, and with bad environment variables reported."""

import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from traceback import walk_tb
from types import FrameType

from alexnet_dist.errors import INTERRUPTED, UsageError

ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
_SETTINGS = re.compile(r"(\w+:(\[[^][]*\]|[^][,:]+)(,|$))*")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import torch and Accelerate inside, a sixth faster: without the garbage collector, which would repeatedly scan
    objects that are never freed.

    Ctrl-C ends the program at once: some libraries abort when an exception interrupts their import.

    Raises:
        UsageError: a variable that one of them reads makes no sense.
    """
    handler = signal.getsignal(signal.SIGINT)
    watched = handler is signal.default_int_handler
    if watched:
        signal.signal(signal.SIGINT, _leave)
    gc.disable()
    try:
        yield
    except Exception as error:
        if (refusal := refused_variable(error)) is not None:
            raise refusal from error
        raise
    finally:
        gc.freeze()
        gc.enable()
        if watched:
            signal.signal(signal.SIGINT, handler)


def refused_variable(error: Exception) -> UsageError | None:
    """The error as a mistake in an environment variable, if torch or Accelerate raised it on import; else None."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code.co_name == "<module>"]
    importing = {str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames}
    if isinstance(error, OSError | ImportError) or not importing & {"torch", "accelerate"}:
        return None
    return UsageError("environment", error, "torch and Accelerate read such variables: correct or unset it")


def drop_empty_torch_logs(environment: MutableMapping[str, str]) -> None:
    """Unset an empty TORCH_LOGS, with which torch cannot be imported."""
    if not environment.get("TORCH_LOGS", "-"):
        del environment["TORCH_LOGS"]


def refuse_malformed_allocator(environment: Mapping[str, str]) -> None:
    """Refuse settings of torch's allocator that would abort the program while torch is imported, with code 134.

    Raises:
        UsageError: a variable's value is not KEY:VALUE,… and torch does abort.
    """
    for name in ALLOCATOR:
        given = environment.get(name, "")
        if not _SETTINGS.fullmatch(given.replace(" ", "")) and _import_aborts(environment):
            remedy = "torch cannot be imported with it: give KEY:VALUE,…, such as expandable_segments:True, or unset it"
            raise UsageError(name, given, remedy)


def _import_aborts(environment: Mapping[str, str]) -> bool:
    line = [sys.executable, "-c", "import torch"]
    return subprocess.run(line, env=environment, capture_output=True, check=False).returncode == -signal.SIGABRT


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)
