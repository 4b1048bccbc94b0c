"""File descriptors of a rank: each connection to another rank takes one.

gloo would connect every rank with every other, in each process group. With `LAZY_GLOO` a connection is made when it is
first used: two per group for a ring, log2(N) for a tree.
"""

import resource
from contextlib import suppress

LAZY_GLOO = "TORCH_GLOO_LAZY_INIT"  # read by torch when a group is made; "1" or "0"
# A rank's own files, libraries and rings. The first rank also holds three connections to every other rank: in the
# rendezvous store, in the group that writes checkpoints and in the one that reads them.
_OWN, _PER_RANK = 256, 3


def descriptors_needed(world_size: int) -> int:
    """How many the first rank needs; the others need no more."""
    return _OWN + _PER_RANK * world_size


def descriptor_limit() -> int:
    """How many this process may have once `raise_descriptor_limit` was called: the hard limit of RLIMIT_NOFILE."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_descriptor_limit() -> None:
    """Raise the soft limit, which is usually 1,024, to the hard one."""
    hard = descriptor_limit()
    with suppress(ValueError, OSError):  # macOS calls its own limit infinite, and then takes no such number
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
