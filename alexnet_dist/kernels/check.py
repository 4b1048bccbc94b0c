"""Compares the kernels of a device with the formula: values and gradients, in every dtype and memory format."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product, starmap

import torch
from torch import Tensor

from alexnet_dist.kernels import reference
from alexnet_dist.kernels.constants import NormConstants, NormPool
from alexnet_dist.kernels.norm_pool import norm_pool, norm_pool_runs_on
from alexnet_dist.kernels.response_norm import response_norm

# Largest ||a - b|| / ||b||. Half precisions are compared after rounding: a few values differ, those that fp32 puts on
# the other side of a rounding boundary.
TOLERANCES = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 4e-4, torch.float16: 2e-4}
FORMATS = (torch.channels_last, torch.contiguous_format)

Stored = Callable[[Tensor, torch.dtype], Tensor]


@dataclass(frozen=True)
class NormCase:
    """One form of the norm.

    Attributes:
        layers: the norm by itself, or merged with the layers next to it.
    """

    dtype: torch.dtype
    memory_format: torch.memory_format
    layers: NormConstants | NormPool

    def compute(self, x: Tensor) -> Tensor:
        if isinstance(self.layers, NormPool):
            return norm_pool(x, self.layers)
        norm = self.layers
        return response_norm(x, norm.maps, norm.size, norm.alpha, norm.beta, norm.k)


def cases(device: torch.device, channels: int) -> Iterator[NormCase]:
    """Every dtype and memory format: one tower and two, the norm by itself and, on devices with that kernel, merged.

    Args:
        channels: of the images, in all towers.
    """
    forms: list[NormConstants | NormPool] = [_norm(channels), _norm(channels // 2, size=11, beta=0.5)]
    if norm_pool_runs_on(device):
        forms.append(NormPool(_norm(channels // 2), kernel=3, stride=2, relu_last=True))
        forms.append(NormPool(_norm(channels, size=3, beta=0.5), kernel=2, stride=2, relu_first=True))
    return starmap(NormCase, product(TOLERANCES, FORMATS, forms))


def _norm(maps: int, size: int = 5, beta: float = 0.75) -> NormConstants:
    return NormConstants(maps, size, alpha=1e-2, beta=beta, k=2.0)


def rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """fp64 values as a dtype stores them."""
    return values.to(dtype).double()


def errors(
    case: NormCase, device: torch.device, shape: tuple[int, ...], stored: Stored = rounded
) -> tuple[float, float]:
    """||a - b|| / ||b|| of the values, and of the gradient of a random sum of them.

    Args:
        shape: of the images, (batch, channels, height, width).
        stored: fp64 values as the device's kernels store them.
    """
    draws = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=draws, dtype=torch.float64) * 20).to(device, case.dtype)
    x = x.contiguous(memory_format=case.memory_format).requires_grad_()
    exact = x.detach().double().requires_grad_()
    if isinstance(case.layers, NormPool):
        expected = reference.norm_pool(exact, case.layers, lambda normed: stored(normed, case.dtype))
    else:
        expected = reference.response_norm(exact, case.layers)
    values = case.compute(x)
    assert values.dtype == case.dtype and values.is_contiguous(memory_format=case.memory_format)
    weights = torch.randn(expected.shape, generator=draws, dtype=torch.float64).to(device, case.dtype)
    (gradient,) = torch.autograd.grad(values, x, weights)
    (exact_gradient,) = torch.autograd.grad(expected, exact, weights.double())
    assert gradient.dtype == case.dtype and gradient.is_contiguous(memory_format=case.memory_format)
    pairs = (values, expected), (gradient, exact_gradient)
    of_values, of_gradient = (_distance(a.detach().double(), stored(b.detach(), case.dtype)) for a, b in pairs)
    return of_values, of_gradient


def _distance(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()
