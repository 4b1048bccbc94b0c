"""`alexnet-dist doctor`: its own flags, and ranks on this machine. Imports nothing heavy: ranks do.

alexnet-dist doctor                        this machine, one rank
alexnet-dist doctor --ranks 2              two ranks on this machine, and their links
srun -n 4 alexnet-dist doctor              one task a rank; also under accelerate launch
alexnet-dist doctor --config FILE …        with the flags that training will get: folders, data, net
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.config.load import load
from alexnet_dist.errors import UsageError
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.line import free_port


def run(flags: Sequence[str]) -> int:
    """`alexnet-dist doctor`: 0 where all is well, 2 where something is not; each problem is one line.

    Raises:
        UsageError: the flags are wrong, or the ranks cannot meet.
    """
    parser = argparse.ArgumentParser("alexnet-dist doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("--ranks", default="1")
    parser.add_argument("--output", type=Path)
    own, rest = parser.parse_known_args(flags)
    if not own.ranks.isdecimal() or not 1 <= int(own.ranks) <= 1024:
        raise UsageError("--ranks", own.ranks, "must be a number of ranks, from 1")
    if int(own.ranks) > 1 and "RANK" not in os.environ:
        output = [] if own.output is None else ["--output", str(own.output)]
        return _start_here(int(own.ranks), [*output, *rest])
    experiment = load(rest)
    # What torch would log, with pages of stack, is told in one line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    with quick_imports():
        from alexnet_dist.doctor.examine import examine

    return examine(experiment, own.output)


def _start_here(ranks: int, flags: Sequence[str]) -> int:
    """Start ranks on this machine; without a launcher, whose start would take as long as the whole check."""
    shared = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "alexnet_dist.cli", "doctor", *flags],
            env=os.environ | {name: str(value) for name, value in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()},
        )
        for rank in range(ranks)
    ]
    return max(process.wait() for process in started)
