"""A learning-rate schedule from outside the package: it falls linearly, to nothing after the last step."""

from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.registry import schedules
from alexnet_dist.training.schedules import Position, Schedule


class ToyLinear(Schedule):
    name = "toy_linear"
    unused = ("milestones", "lr_divisor", "final_lr", "power")

    def rate(self, settings: OptimConfig, position: Position) -> float:
        return settings.lr * (1 - position.step / position.total_steps)


schedules.register(ToyLinear())
