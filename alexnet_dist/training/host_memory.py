"""The C library's memory allocator, told that this process will want its memory again."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> None:
    """Let glibc keep large blocks that torch frees instead of handing them back to the kernel.

    A step on a CPU frees and allocates the same activations over and over; by default each comes back as fresh pages
    that the kernel zeroes at first touch: 10 to 50 % of a step of alexnet_2012. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
