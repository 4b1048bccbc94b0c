"""`alexnet-dist doctor`."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import load
from alexnet_dist.config.output import check_output
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import FilePath, Group
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.environment import enter_world
from alexnet_dist.launcher.launch_line import CLI
from alexnet_dist.registry import commands

ABOUT = """Say what would go wrong in a training run, and how fast its ranks reach each other.

alexnet-dist doctor                        this machine, one rank
alexnet-dist doctor --ranks 2              two ranks on this machine, and their links
srun -n 4 alexnet-dist doctor              one task a rank; also under accelerate launch
alexnet-dist doctor --config FILE …        with the flags that training will get: folders, data, net
alexnet-dist doctor --for-ranks 32 …       an experiment on 32 ranks that are elsewhere
"""


class DoctorFlags(Group):
    ranks: int = Field(
        1, ge=1, le=1024, description="to start on this machine; under srun or a launcher every rank runs this"
    )
    for_ranks: int | None = Field(
        None, ge=1, le=1_000_000, description="check an experiment for that many ranks, none of them on this machine"
    )
    output: FilePath | None = Field(
        None, description="also write the speeds of the links to this file, which must not exist, as JSON"
    )


FLAGS = Flags(DoctorFlags, Experiment)


def run(flags: Sequence[str]) -> int:
    """Check this rank, or start ranks that check themselves.

    Returns:
        0 where all is well, 2 where something is not; each problem is one line.

    Raises:
        UsageError: the flags are wrong, or the ranks cannot reach each other.
    """
    first = enter_world(os.environ).rank == 0
    own, fields = FLAGS.split(flags)
    if own.output is not None and first:
        check_output(Path(own.output))
    if own.for_ranks is not None:
        from alexnet_dist.doctor.forecast import forecast

        return forecast(load(fields), own.for_ranks)
    if own.ranks > 1 and "RANK" not in os.environ:
        from alexnet_dist.launcher.processes import run_without_launcher

        output = [] if own.output is None else ["--output", own.output]
        return run_without_launcher(own.ranks, [*CLI, "doctor", *output, *fields])
    experiment = load(fields)
    # torch's own log of a failed connection is pages of stack; the doctor prints one line.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    with quick_imports():
        from alexnet_dist.doctor.examine import examine

    return examine(experiment, None if own.output is None else Path(own.output))


COMMAND = commands.register(
    Command("doctor", "before a long job: is everything there, how fast are the links", run, FLAGS, ABOUT)
)
