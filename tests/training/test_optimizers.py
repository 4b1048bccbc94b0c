"""The update rules, and the state that an optimizer starts with."""

import numpy as np
import pytest
import torch

from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.training.optimizers import make_optimizer

RECIPE = OptimConfig(name="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weights_decay_and_biases_do_not(name: str) -> None:
    weight, bias = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    settings = RECIPE.model_copy(update={"name": name, "weight_decay": 0.5, "lr": 0.1})
    optimizer = make_optimizer(settings, [("fc6.weight", weight), ("fc6.bias", bias)])
    for parameter in (weight, bias):
        parameter.grad = torch.zeros(3)
    optimizer.step()
    assert torch.allclose(weight, torch.full((3,), 0.95)) and torch.equal(bias, torch.ones(3))


def test_sgd_is_the_rule_of_2012_at_a_constant_rate() -> None:
    """v <- .9 v + lr grad + lr wd w; w <- w - v (CHM's rule with the signs reversed)."""
    weight = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = make_optimizer(RECIPE, [("conv1.weight", weight)])
    w, v = 2.0, 0.0
    for gradient in (0.3, -0.1, 0.7):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        v = 0.9 * v + 0.01 * gradient + 0.01 * 5e-4 * w
        w -= v
        assert weight.item() == pytest.approx(w, rel=1e-14)


def test_momentum_starts_at_zero_where_the_first_step_is_skipped() -> None:
    """fp16 may overflow in the first step: fused SGD then returns before it has written its buffers."""
    weight, fresh = (torch.nn.Parameter(torch.ones(64)) for _ in range(2))
    settings = RECIPE.model_copy(update={"weight_decay": 0.0})
    skipping, plain = make_optimizer(settings, [("w.weight", weight)]), make_optimizer(settings, [("w.weight", fresh)])
    weight.grad = torch.full((64,), float("inf"))
    skipping.grad_scale, skipping.found_inf = torch.tensor(1.0), torch.tensor(1.0)  # type: ignore[attr-defined]
    skipping.step()
    assert torch.equal(weight, torch.ones(64))
    skipping.found_inf = torch.tensor(0.0)  # type: ignore[attr-defined]
    for parameter in (weight, fresh):
        parameter.grad = torch.full((64,), 0.5)
    skipping.step()
    plain.step()
    assert torch.equal(weight, fresh)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_lars_is_the_published_rule(momentum: float) -> None:
    """Algorithm 1 of You, Gitman and Ginsburg 2017, written in numpy; biases take plain momentum."""
    settings = OptimConfig(name="lars", lr=0.5, momentum=momentum, weight_decay=5e-4, trust=0.01)
    draws = np.random.default_rng(0)
    expected = {name: draws.normal(size=shape) for name, shape in {"fc6.weight": (7, 5), "fc6.bias": (7,)}.items()}
    parameters = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in expected.items()}
    optimizer = make_optimizer(settings, parameters.items())
    velocities = {name: np.zeros_like(value) for name, value in expected.items()}
    for rate in (0.1, 0.5, 0.3):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for name, w in expected.items():
            gradient = draws.normal(size=w.shape)
            parameters[name].grad = torch.from_numpy(gradient)
            decay, local = 0.0, 1.0
            if name.endswith("weight"):
                decay = 5e-4
                local = 0.01 * np.sqrt((w**2).sum()) / (np.sqrt((gradient**2).sum()) + decay * np.sqrt((w**2).sum()))
            velocities[name] = momentum * velocities[name] + rate * local * (gradient + decay * w)
            expected[name] = w - velocities[name]
        optimizer.step()
        for name, w in expected.items():
            np.testing.assert_allclose(parameters[name].detach().numpy(), w, rtol=1e-13)


def test_lars_moves_a_layer_that_is_all_zero() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = make_optimizer(OptimConfig(name="lars", lr=0.5, momentum=0.0), [("fc6.weight", weight)])
    weight.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(weight, torch.full((3,), -0.5))
