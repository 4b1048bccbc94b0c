"""`alexnet-dist train` and `launch/train.py`."""

import os
from collections.abc import Sequence

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import describe, load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import Group
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.environment import enter_world
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of, named_run_dir
from alexnet_dist.registry import commands

ABOUT = """Train as an experiment says, on the ranks that a launcher started.

accelerate launch --multi_gpu --num_processes 2 launch/train.py --strategy.name split
alexnet-dist train --config configs/smoke.yaml --train.epochs 2       one process
"""


class TrainFlags(Group):
    print_config: bool = Field(
        False, description="show the resolved experiment and what differs from the defaults, and stop"
    )


FLAGS = Flags(TrainFlags, Experiment)


def run(flags: Sequence[str]) -> int:
    """Train in this process, one of the ranks that a launcher started."""

    def check_and_train(status: ExitStatus) -> None:
        world_size = enter_world(os.environ).world_size
        own, fields = FLAGS.split(flags)
        given = load(fields)
        resolved = resolve(given, world_size)
        if own.print_config:
            status.folder = None  # nothing runs, so there is no exit.json to write
            print(describe(resolved, given))
            return
        # Imported after the settings are checked: torch and Accelerate take seconds.
        with quick_imports():
            from alexnet_dist.training.train import train

        train(resolved, status)

    return exit_code_of(check_and_train, ExitStatus(named_run_dir(flags)))


COMMAND = commands.register(
    Command("train", "train one experiment on the ranks that the launcher started", run, FLAGS, ABOUT, records=True)
)
