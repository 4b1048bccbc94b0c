"""Recognises errors that mean a lack of memory, and says what was asked for."""

import errno
import re
import resource

# As numpy and Python, torch's allocators of CPU and CUDA, C++ and the dynamic linker say it.
_SIGNS = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|unable to allocate|bad_alloc|failed to map segment"
    r"|could not create a memory object|CU(?:BLAS|DNN)_STATUS_\w*ALLOC\w*_FAILED",
    re.IGNORECASE,
)
_BYTES = re.compile(r"tried to allocate (\d+) bytes", re.IGNORECASE)
_WORDS = re.compile(r"(?:tried|unable) to allocate ([\d.]+ ?[KMGT]?i?B)", re.IGNORECASE)
# As torch's allocator describes the GPU; the second is missing where it cannot see processes.
_SIZE = r"([\d.]+ (?:bytes|[KMG]iB))"
_CAPACITY = re.compile(rf"(GPU \d+) has a total capacity of {_SIZE} of which {_SIZE} is free")
_OWN = re.compile(rf"this process has {_SIZE} memory in use")
_UNITS = {"bytes": 2**-30, "KiB": 2**-20, "MiB": 2**-10, "GiB": 1.0}
_OTHERS = 0.05  # of a GPU's memory: what other processes hold is worth a word


def out_of_memory(error: BaseException) -> str | None:
    """What was asked for, in words; None where an error is about something else."""
    text = str(error)
    by_kind = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not (by_kind or getattr(error, "errno", None) == errno.ENOMEM or _SIGNS.search(text) or _no_thread(text)):
        return None
    if found := _BYTES.search(text):
        return f"{int(found[1]) / 2**20:,.1f} MiB more were asked for"
    if found := _WORDS.search(text):
        return f"{found[1]} more were asked for{_gpu(text)}"
    # CUDA's errors go on with advice to programmers.
    signs = [line for line in text.splitlines() if _SIGNS.search(line)]
    return " ".join((signs[-1] if signs else text).split())[-120:] or "Python's own objects"


def _gpu(text: str) -> str:
    """What torch says about the GPU: its memory, what of it is free, and what other processes hold; empty for a CPU."""
    capacity, own = _CAPACITY.search(text), _OWN.search(text)
    if capacity is None:
        return ""
    gpu, whole, free = capacity.groups()
    others = _gib(whole) - _gib(free) - _gib(own[1]) if own else 0.0
    shared = f"; other processes hold {others:.1f} GiB of it" if others > _OTHERS * _gib(whole) else ""
    return f", {free} of {gpu}'s {whole} are free{shared}"


def _gib(size: str) -> float:
    number, unit = size.split()
    return float(number) * _UNITS[unit]


def _no_thread(text: str) -> bool:
    """Whether there was no memory for a thread; where memory has no limit, it is their number that has one."""
    return "can't start new thread" in text and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
