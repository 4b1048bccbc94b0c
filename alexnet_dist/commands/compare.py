"""`alexnet-dist compare` and `launch/compare.py`."""

from collections.abc import Sequence

from alexnet_dist.commands import Command
from alexnet_dist.errors import DONE
from alexnet_dist.registry import commands

HELP = """Which strategy is faster here, by how much and why, and is it still the same training?

alexnet-dist compare --strategies single,ddp,ddp:bf16,split --ranks 2 --global-batches 32,128 --net.name alexnet_2012
alexnet-dist compare --config configs/compare/NAME.yaml   the same from a file; interrupted, the same command goes on
alexnet-dist compare --from runs/compare/NAME             draw the report again without running

  --print-command              show the line that starts each run, and stop
  --compare.FIELD              as below, also without "compare.": --rounds 5
"""


def run(flags: Sequence[str]) -> int:
    """0 where every case ran and is the same training, 1 where one did not or is not, 130 where it was interrupted.

    Raises:
        UsageError: the flags are wrong, or none of the cases can run.
    """
    from alexnet_dist.compare.config import Comparison, load_comparison, stored_comparison
    from alexnet_dist.config.load import fields_help

    if "--help" in flags or "-h" in flags:
        print(HELP + fields_help(Comparison))
        return DONE
    words = [flag for flag in flags if flag != "--print-command"]
    from_folder = any(word.partition("=")[0] == "--from" for word in words)
    comparison = stored_comparison(words) if from_folder else load_comparison(words)
    from alexnet_dist.compare.comparison import compare, print_commands, report_again

    if from_folder:
        return report_again(comparison)
    return compare(comparison) if len(words) == len(flags) else print_commands(comparison)


COMMAND = commands.register(
    Command("compare", "which strategy is faster here, and is it the same training: runs, a table, a report", run)
)
