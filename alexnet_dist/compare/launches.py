"""How a comparison starts ranks."""

from collections.abc import Sequence

from alexnet_dist.compare.cases import Run, run_flags
from alexnet_dist.compare.config import Comparison
from alexnet_dist.launcher.launch_line import TRAIN
from alexnet_dist.launcher.processes import Launcher


def launcher_of(comparison: Comparison, log: str) -> Launcher:
    """The launcher that the settings name; output goes to the comparison's logs/LOG.log."""
    settings = comparison.compare
    return Launcher(settings.start_with, settings.timeout, comparison.folder / "logs" / f"{log}.log")


def run_program(comparison: Comparison, run: Run) -> Sequence[str]:
    """The program of a run, as launchers take it."""
    return [*TRAIN, *run_flags(comparison, run)]
