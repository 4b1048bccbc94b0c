"""`alexnet-dist train` and `launch/train.py`."""

import os
from collections.abc import Sequence

from alexnet_dist.commands import Command
from alexnet_dist.config.load import describe, fields_help, load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.imports import quick_imports
from alexnet_dist.launcher.environment import launcher_world_size
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of, free_run_dir
from alexnet_dist.launcher.slurm import refuse_separate_launchers, set_ranks_from_srun
from alexnet_dist.registry import commands

HELP = """Train as an experiment says: --config FILE, and a dotted flag for every field.

  --config FILE                an experiment in YAML, such as configs/fashion_mnist.yaml
  --print_config               show the resolved experiment and what differs from the defaults, and stop
"""


def run(flags: Sequence[str]) -> int:
    """Train in this process, one of the ranks that a launcher started."""
    if "--help" in flags or "-h" in flags:
        print(HELP + fields_help())
        return 0
    fields = [flag for flag in flags if flag != "--print_config"]
    set_ranks_from_srun(os.environ)

    def check_and_train(status: ExitStatus) -> None:
        refuse_separate_launchers(os.environ)
        given = load(fields)
        resolved = resolve(given, launcher_world_size(os.environ))
        if "--print_config" in flags:
            status.folder = None  # there is no run
            print(describe(resolved, given))
            return
        # Imported after the settings are checked: torch and Accelerate take seconds.
        with quick_imports():
            from alexnet_dist.training.train import train

        train(resolved, status)

    return exit_code_of(check_and_train, ExitStatus(free_run_dir(fields)))


COMMAND = commands.register(Command("train", "train one experiment on the ranks that the launcher started", run))
