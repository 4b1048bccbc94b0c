"""Learning rates by step and parameter group."""

import pytest

from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.training.schedules import Position, learning_rates

RECIPE = OptimConfig(lr=0.01, bias_lr=0.02, milestones=[25, 51, 79], lr_divisor=10)


def at(epoch: int) -> Position:
    """The last of an epoch's 8 steps."""
    return Position(8 * epoch + 7, steps_per_epoch=8, total_steps=8 * 90)


@pytest.mark.parametrize(
    "epoch, rate", [(0, 1e-2), (24, 1e-2), (25, 1e-3), (51, 1e-4), (78, 1e-4), (79, 1e-5), (90, 1e-5)]
)
def test_the_recipe_of_2012(epoch: int, rate: float) -> None:
    assert learning_rates(RECIPE, at(epoch)) == {"weights": pytest.approx(rate), "biases": 0.02}


def test_biases_follow_the_weights_unless_told() -> None:
    settings = RECIPE.model_copy(update={"bias_lr": None})
    assert learning_rates(settings, at(30)) == {"weights": pytest.approx(1e-3), "biases": pytest.approx(1e-3)}
