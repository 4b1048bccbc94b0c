"""`alexnet-dist doctor`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.commands import Command
from alexnet_dist.config.load import fields_help, load
from alexnet_dist.errors import UsageError
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.line import CLI
from alexnet_dist.launcher.slurm import set_ranks_from_srun
from alexnet_dist.registry import commands

HELP = """Say what would go wrong in a training run, and how fast its ranks reach each other.

alexnet-dist doctor                        this machine, one rank
alexnet-dist doctor --ranks 2              two ranks on this machine, and their links
srun -n 4 alexnet-dist doctor              one task a rank; also under accelerate launch
alexnet-dist doctor --config FILE …        with the flags that training will get: folders, data, net

  --ranks N                    start N ranks on this machine [1]; under srun or a launcher every rank runs this
  --output FILE                also write the speeds of the links there, as JSON
"""


def run(flags: Sequence[str]) -> int:
    """Check this rank, or start ranks that check themselves.

    Returns:
        0 where all is well, 2 where something is not; each problem is one line.

    Raises:
        UsageError: the flags are wrong, or the ranks cannot reach each other.
    """
    if "--help" in flags or "-h" in flags:
        print(HELP + fields_help())
        return 0
    set_ranks_from_srun(os.environ)
    parser = argparse.ArgumentParser("alexnet-dist doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("--ranks", default="1")
    parser.add_argument("--output", type=Path)
    own, fields = parser.parse_known_args(flags)
    if not own.ranks.isdecimal() or not 1 <= int(own.ranks) <= 1024:
        raise UsageError("--ranks", own.ranks, "must be a number of ranks, from 1")
    if int(own.ranks) > 1 and "RANK" not in os.environ:
        from alexnet_dist.launcher.processes import run_without_launcher

        output = [] if own.output is None else ["--output", str(own.output)]
        return run_without_launcher(int(own.ranks), [*CLI, "doctor", *output, *fields])
    experiment = load(fields)
    # torch's own log of a failed connection is pages of stack; the doctor prints one line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    with quick_imports():
        from alexnet_dist.doctor.examine import examine

    return examine(experiment, own.output)


COMMAND = commands.register(Command("doctor", "before a long job: is everything there, how fast are the links", run))
