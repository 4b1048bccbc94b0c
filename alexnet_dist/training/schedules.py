"""Learning rates: pure functions of the step, so that nothing is stored and nothing is stepped twice."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from alexnet_dist import registry
from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.training.optimizers import BIASES, WEIGHTS


@dataclass(frozen=True)
class Position:
    """Where in a run a step is.

    Attributes:
        step: counted from 0.
        steps_per_epoch, total_steps: of the run.
    """

    step: int
    steps_per_epoch: int
    total_steps: int

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch


class Schedule(ABC):
    """One value of `optim.schedule`."""

    name: ClassVar[str]

    @abstractmethod
    def factor(self, settings: OptimConfig, position: Position) -> float:
        """What `optim.lr` is multiplied by in a step."""

    @abstractmethod
    def warnings(self, settings: OptimConfig, epochs: int) -> list[str]:
        """Settings without effect, one line each."""


@final
class Steps(Schedule):
    """The rate is divided by `lr_divisor` at each of the epochs `milestones`, as in the recipe of 2012."""

    name = "steps"

    def factor(self, settings: OptimConfig, position: Position) -> float:
        passed = sum(position.epoch >= milestone for milestone in settings.milestones)
        return 1.0 / settings.lr_divisor**passed

    def warnings(self, settings: OptimConfig, epochs: int) -> list[str]:
        found = []
        if settings.lr_divisor != OptimConfig().lr_divisor and not settings.milestones:
            found.append(f"optim.lr_divisor: {settings.lr_divisor} has no effect without optim.milestones")
        late = [milestone for milestone in settings.milestones if milestone >= epochs]
        if late:
            found.append(f"optim.milestones: {late} lie behind the last epoch and have no effect")
        return found


registry.schedules.register(Steps())


def learning_rates(settings: OptimConfig, position: Position) -> dict[str, float]:
    """Learning rate of a step by parameter group; `bias_lr`, where it is set, is constant."""
    schedule: Schedule = registry.schedules[settings.schedule]
    weights = settings.lr * schedule.factor(settings, position)
    return {WEIGHTS: weights, BIASES: weights if settings.bias_lr is None else settings.bias_lr}
