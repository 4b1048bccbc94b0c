"""Learning rates: pure functions of the step, so that nothing is stored and nothing is stepped twice."""

import math
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

    def progress(self, warmup_steps: int) -> float:
        """The share of the steps after the warm-up that are done, from 0 to 1."""
        return max(0.0, (self.step - warmup_steps) / max(1, self.total_steps - warmup_steps))


class Schedule(ABC):
    """One value of `optim.schedule`.

    Attributes:
        name: in settings.
        unused: fields of `optim` that have no effect.
    """

    name: ClassVar[str]
    unused: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def rate(self, settings: OptimConfig, position: Position) -> float:
        """The learning rate of weights in a step, without the warm-up."""

    def warnings(self, settings: OptimConfig, epochs: int) -> list[str]:
        """Values without effect, one line each; fields in `unused` are reported by the caller."""
        return []


@final
class Steps(Schedule):
    """The rate is divided by `lr_divisor` at each of the epochs `milestones`, as in the recipe of 2012."""

    name = "steps"
    unused = ("final_lr", "power")

    def rate(self, settings: OptimConfig, position: Position) -> float:
        passed = sum(position.epoch >= milestone for milestone in settings.milestones)
        return settings.lr / settings.lr_divisor**passed

    def warnings(self, settings: OptimConfig, epochs: int) -> list[str]:
        found = []
        if settings.lr_divisor != OptimConfig().lr_divisor and not settings.milestones:
            found.append(f"optim.lr_divisor: {settings.lr_divisor} has no effect without optim.milestones")
        late = [milestone for milestone in settings.milestones if milestone >= epochs]
        if late:
            found.append(f"optim.milestones: {late} have no effect: the run ends first")
        return found


@final
class Cosine(Schedule):
    """Half a cosine from `lr` to `final_lr`, warm-up left out (Loshchilov and Hutter 2017, without restarts)."""

    name = "cosine"
    unused = ("milestones", "lr_divisor", "power")

    def rate(self, settings: OptimConfig, position: Position) -> float:
        share = (1 + math.cos(math.pi * position.progress(settings.warmup_steps))) / 2
        return settings.final_lr + (settings.lr - settings.final_lr) * share


@final
class Polynomial(Schedule):
    """(1 - progress)^power from `lr` to `final_lr`, warm-up left out (You, Gitman and Ginsburg 2017: power 2)."""

    name = "polynomial"
    unused = ("milestones", "lr_divisor")

    def rate(self, settings: OptimConfig, position: Position) -> float:
        share = (1 - position.progress(settings.warmup_steps)) ** settings.power
        return settings.final_lr + (settings.lr - settings.final_lr) * share


for _schedule in (Steps(), Cosine(), Polynomial()):
    registry.schedules.register(_schedule)


def learning_rates(settings: OptimConfig, position: Position) -> dict[str, float]:
    """Learning rate of a step by parameter group.

    In the first `warmup_steps` steps rates rise linearly to their values. `bias_lr`, where it is set, follows no
    schedule.
    """
    schedule: Schedule = registry.schedules[settings.schedule]
    weights = schedule.rate(settings, position)
    biases = weights if settings.bias_lr is None else settings.bias_lr
    if position.step < settings.warmup_steps:
        risen = (position.step + 1) / settings.warmup_steps
        return {WEIGHTS: weights * risen, BIASES: biases * risen}
    return {WEIGHTS: weights, BIASES: biases}
