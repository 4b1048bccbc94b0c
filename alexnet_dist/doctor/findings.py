"""What is wrong, and what else a user should know. Imports nothing heavy."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from alexnet_dist.config.resolve import table_of, warnings
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.strategies.base import strategy_of
from alexnet_dist.strategies.check import check_batch


@dataclass(frozen=True)
class Findings:
    """Problems, which training would refuse, and notes, one line each."""

    problems: list[UsageError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ask(self, check: Callable[[], object]) -> None:
        """Call a check that raises UsageError, and add what it finds unless that is there already."""
        try:
            check()
        except UsageError as error:
            if str(error) not in map(str, self.problems):
                self.problems.append(error)

    def show(self) -> None:
        """Print each line once, problems to stderr."""
        for note in dict.fromkeys(self.notes):
            print(f"warning: {note}", flush=True)
        for problem in dict.fromkeys(str(problem) for problem in self.problems):
            print(f"error: {problem}", file=sys.stderr, flush=True)


def experiment_findings(experiment: Experiment, world_size: int) -> Findings:
    """What training on `world_size` ranks would refuse or warn about, whatever machines they run on.

    Args:
        experiment: resolved.
    """
    strategy = strategy_of(experiment)
    found = Findings()
    found.ask(lambda: strategy.check(experiment, table_of(experiment.net), world_size))
    if strategy.sample_shards(world_size):  # else there are too few ranks for one replica, which is a problem already
        found.ask(lambda: check_batch(experiment, world_size))
    found.notes.extend([*warnings(experiment), *strategy.warnings(experiment, world_size)])
    return found
