"""Recognises errors that mean a lack of memory, and says what was asked for."""

import errno
import re
import resource

# As numpy and Python, torch's allocators of CPU and CUDA, C++ and the dynamic linker say it.
_SIGNS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|unable to allocate|bad_alloc|failed to map segment"
    r"|could not create a memory object|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_BYTES = re.compile(r"tried to allocate (\d+) bytes", re.IGNORECASE)
_WORDS = re.compile(r"(?:tried|unable) to allocate ([\d.]+ ?[KMGT]?i?B)", re.IGNORECASE)


def out_of_memory(error: BaseException) -> str | None:
    """What was asked for, in words; None where an error is about something else."""
    text = str(error)
    by_kind = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not (by_kind or getattr(error, "errno", None) == errno.ENOMEM or _SIGNS.search(text) or _no_thread(text)):
        return None
    if found := _BYTES.search(text):
        return f"{int(found[1]) / 2**20:,.1f} MiB more were asked for"
    if found := _WORDS.search(text):
        return f"{found[1]} more were asked for"
    return " ".join(text.split())[-120:] or "Python's own objects"


def _no_thread(text: str) -> bool:
    """Whether there was no memory for a thread; where memory has no limit, it is their number that has one."""
    return "can't start new thread" in text and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
