"""`alexnet-dist gpu_check` and `launch/gpu_check.sh`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.values import FilePath, Group
from alexnet_dist.errors import DONE, FAILED, UsageError
from alexnet_dist.registry import commands

ABOUT = """Try on this machine's GPU what can only be tried there: under eight minutes, no network.

launch/gpu_check.sh                    the same, without installing the project
alexnet-dist gpu_check --list          its lines, each with the seconds that it may take
"""


class GpuCheckFlags(Group):
    list: bool = Field(False, description="show the lines, and stop")
    output: FilePath = Field("gpu_check.json", description="the results, as JSON")


FLAGS = Flags(GpuCheckFlags)


def run(flags: Sequence[str]) -> int:
    """0 where every line was reached and none failed, else 1.

    Raises:
        UsageError: there is no GPU that torch can use, or this build of torch has no kernels for it.
    """
    own, _ = FLAGS.split(flags)
    from alexnet_dist.gpu_check.lines import LINES

    if own.list:
        for number, line in enumerate(LINES, start=1):
            print(f"{number}  {line.name:<16} {line.limit:>4.0f} s  {line.about}")
        return DONE
    from alexnet_dist.distributed.devices import check_built_for, gpu_count, own_device
    from alexnet_dist.gpu_check.check import run_lines
    from alexnet_dist.gpu_check.report import CheckReport

    if gpu_count() == 0:
        raise UsageError("GPU", "none", "torch can use no GPU here: the check needs one (--list shows what it does)")
    check_built_for(own_device(0))
    report = CheckReport(Path(own.output))
    run_lines("cuda:0", report.changed)
    return DONE if report.good else FAILED


COMMAND = commands.register(Command("gpu_check", "try on a GPU what can only be tried there", run, FLAGS, ABOUT))
