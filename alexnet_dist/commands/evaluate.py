"""`alexnet-dist evaluate`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.schema import MOST_SAMPLES, Experiment
from alexnet_dist.config.values import FilePath, Group
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of
from alexnet_dist.registry import commands

ABOUT = """Accuracy of a checkpoint on the test images, on the ranks that a launcher started, however many.

Dotted flags win over the checkpoint's experiment: data.*, strategy.*, train.precision,
train.evaluate_samples, train.evaluate_views and train.timeout.
net.* and data.normalise are the checkpoint's.

alexnet-dist evaluate --checkpoint runs/NAME
alexnet-dist launch --ranks 2 --program -- -m alexnet_dist.cli evaluate --checkpoint runs/NAME
"""


class EvaluateFlags(Group):
    checkpoint: FilePath = Field(description="a checkpoint, or the directory of a run")
    batch: int = Field(64, ge=1, le=MOST_SAMPLES, description="images that a rank computes at once")


FLAGS = Flags(EvaluateFlags, Experiment)


def run(flags: Sequence[str]) -> int:
    """Evaluate a checkpoint on the ranks that a launcher started."""
    own, fields = FLAGS.split(flags)

    def evaluate(_: ExitStatus) -> None:
        with quick_imports():
            from alexnet_dist.training.evaluate_checkpoint import evaluate_checkpoint

        evaluate_checkpoint(Path(own.checkpoint), own.batch, fields)

    return exit_code_of(evaluate, ExitStatus())


COMMAND = commands.register(Command("evaluate", "accuracy of a checkpoint on the test images", run, FLAGS, ABOUT))
