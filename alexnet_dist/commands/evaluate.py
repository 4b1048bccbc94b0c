"""`alexnet-dist evaluate`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.commands import Command
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of
from alexnet_dist.registry import commands


def run(flags: Sequence[str]) -> int:
    """Evaluate a checkpoint on the ranks that a launcher started."""
    parser = argparse.ArgumentParser("alexnet-dist evaluate", description="Accuracy of a checkpoint on test images.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="a checkpoint, or the folder of a run")
    arguments, fields = parser.parse_known_args(flags)

    def evaluate(_: ExitStatus) -> None:
        from alexnet_dist.training.evaluate_checkpoint import evaluate_checkpoint

        evaluate_checkpoint(arguments.checkpoint, fields)

    return exit_code_of(evaluate, ExitStatus())


COMMAND = commands.register(Command("evaluate", "accuracy of a checkpoint on the test images", run))
