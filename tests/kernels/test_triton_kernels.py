"""The Triton kernels: in Triton's interpreter against the formula and the layers one by one; compiled for real GPUs."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from interpreted_kernels import interpreted, truncated
from torch import Tensor
from torch.nn import functional

from alexnet_dist.kernels import check
from alexnet_dist.kernels.constants import NormConstants, NormPool
from alexnet_dist.kernels.norm_pool import norm_pool
from alexnet_dist.kernels.response_norm import response_norm

CPU = torch.device("cpu")
NORM = NormConstants(maps=6, size=5, alpha=1e-2, beta=0.75, k=2.0)
ORDERS = [NormPool(NORM, 3, 2, relu_last=True), NormPool(NORM, 3, 2, relu_first=True)]  # of CHM, of the paper


@pytest.fixture(scope="module", autouse=True)
def kernels() -> Iterator[ModuleType]:
    with interpreted() as module:
        yield module


def alone(x: Tensor, norm: NormConstants) -> Tensor:
    return response_norm(x, norm.maps, norm.size, norm.alpha, norm.beta, norm.k)


@pytest.mark.parametrize("dtype", check.TOLERANCES, ids=str)
def test_equal_the_formula(dtype: torch.dtype) -> None:
    cases = [case for case in check.cases(CPU, channels=24) if case.dtype == dtype]
    assert len(cases) == 8
    for case in cases:
        assert max(check.errors(case, CPU, (2, 24, 5, 7), truncated)) < check.TOLERANCES[dtype], case


@pytest.mark.parametrize("layers", ORDERS)
def test_gradients_by_finite_differences(layers: NormPool) -> None:
    x = torch.randn(1, 12, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    norm = replace(NORM, alpha=0.5)
    assert torch.autograd.gradcheck(lambda t: alone(t, norm), (x,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda t: norm_pool(t, replace(layers, norm=norm)), (x,), fast_mode=True)


@pytest.mark.parametrize("layers", ORDERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_they_give_what_the_layers_give_one_by_one(layers: NormPool, dtype: torch.dtype) -> None:
    """Bit by bit, where values are equal, too: the pool's first one passes the gradient."""
    given = torch.randint(-3, 4, (2, 12, 7, 6)).to(dtype).contiguous(memory_format=torch.channels_last)
    one, other = given.clone().requires_grad_(), given.clone().requires_grad_()
    merged = norm_pool(one, layers)
    normed = alone(functional.relu(other) if layers.relu_first else other, NORM)
    pooled = functional.max_pool2d(normed, 3, 2)
    single = functional.relu(pooled) if layers.relu_last else pooled
    assert torch.equal(merged, single)
    weights = torch.randint(-8, 9, merged.shape).to(dtype)  # whose sums are exact
    for values in (merged, single):
        values.backward(weights)
    assert one.grad is not None and other.grad is not None and torch.equal(one.grad, other.grad)


def test_strides_do_not_matter() -> None:
    wide = torch.randn(2, 24, 7, 9)
    x = wide[:, 12:, 1:, ::2].requires_grad_()
    assert torch.equal(alone(x, NORM), alone(x.contiguous(), NORM))
    (expanded,) = torch.autograd.grad(norm_pool(x, ORDERS[0]).sum(), x)
    (dense,) = torch.autograd.grad(norm_pool(x, ORDERS[0]), x, torch.ones(2, 12, 2, 2))
    assert torch.equal(expanded, dense)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, which the interpreter computes with
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_is_none_stays_visible(value: float) -> None:
    x = torch.zeros(1, 12, 3, 3)
    x[0, 1, 1, 1] = value
    assert alone(x, NORM)[0, 1, 1, 1].isnan()
    for layers in ORDERS:
        pooled = norm_pool(x, layers)
        assert pooled[0, 1].isnan().all() and not pooled[0, 6:].isnan().any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_k_what_lies_beside_a_tower_stays_out() -> None:
    """Programs compute a few channels more than a tower has; of these the denominator would be 0."""
    x = torch.randn(1, 12, 2, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(alone(x, replace(NORM, k=0.0)).sum(), x)
    assert gradient.isfinite().all()


def test_an_empty_batch() -> None:
    assert norm_pool(torch.empty(0, 12, 7, 7), ORDERS[0]).shape == (0, 12, 3, 3)


def test_they_are_operators_for_fake_tensors_and_compilers() -> None:
    settings = (6, 5, 1e-2, 0.75, 2.0, 3, 2, False, True)
    x = torch.randn(2, 12, 5, 5).contiguous(memory_format=torch.channels_last)
    operators = torch.ops.alexnet_dist
    torch.library.opcheck(operators.norm_pool.default, (x.clone().requires_grad_(), *settings))
    pooled, chosen = operators.norm_pool(x, *settings)
    torch.library.opcheck(operators.norm_pool_backward.default, (x, chosen, pooled, *settings))
