"""`alexnet-dist compare` and `launch/compare.py`."""

from collections.abc import Sequence

from alexnet_dist.commands import Command
from alexnet_dist.compare.config import FLAGS, load_comparison, stored_comparison
from alexnet_dist.errors import UsageError
from alexnet_dist.registry import commands

ABOUT = """Which strategy is faster here, by how much and why, and is it still the same training?

alexnet-dist compare --strategies single,ddp:bf16,split --global-batches 32,128
alexnet-dist compare --config configs/compare/NAME.yaml   the same from a file

After an interruption the same command continues.
"""


def run(flags: Sequence[str]) -> int:
    """0 where every case ran and is the same training, 1 where one did not or is not, 130 where it was interrupted.

    Raises:
        UsageError: the flags are wrong, or none of the cases can run.
        RunRefused: the ranks of every case refuse its settings.
    """
    own, fields = FLAGS.split(flags)
    if own.from_ is not None and fields:
        raise UsageError("--from", " ".join(fields), "takes no other flags: it draws the report of a folder again")
    comparison = load_comparison(fields) if own.from_ is None else stored_comparison(own.from_)
    from alexnet_dist.compare.comparison import compare, print_commands, report_again

    if own.from_ is not None:
        return report_again(comparison)
    return print_commands(comparison) if own.print_command else compare(comparison)


COMMAND = commands.register(
    Command("compare", "which strategy is faster here, and is it the same training", run, FLAGS, ABOUT, records=True)
)
