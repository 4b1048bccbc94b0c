"""The response norm against a plain loop over channels, in every dtype and memory format."""

import pytest
import torch
from torch import Tensor

from alexnet_dist.nets.response_norm import response_norm

CONSTANTS = {"size": 5, "alpha": 1e-2, "beta": 0.75, "k": 2.0}


def plain(x: Tensor, maps: int, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """The formula, channel by channel, window by window."""
    out = torch.empty_like(x)
    for channel in range(x.shape[1]):
        first = channel // maps * maps
        low, high = max(first, channel - size // 2), min(first + maps, channel + size // 2 + 1)
        window = sum(x[:, j] ** 2 for j in range(low, high))
        out[:, channel] = x[:, channel] / (k + alpha / size * window) ** beta
    return out


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 4e-3)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("towers", [1, 2])
def test_equals_the_formula(
    dtype: torch.dtype, tolerance: float, memory_format: torch.memory_format, towers: int
) -> None:
    x = (torch.randn(2, 16, 5, 7, dtype=torch.float64) * 20).to(dtype).contiguous(memory_format=memory_format)
    ours = response_norm(x, maps=16 // towers, **CONSTANTS)
    assert ours.dtype == dtype and ours.is_contiguous(memory_format=memory_format)
    reference = plain(x.double(), 16 // towers, **CONSTANTS)
    assert ((ours.double() - reference).norm() / reference.norm()) < tolerance


def test_one_tower_equals_torchs() -> None:
    x = torch.randn(2, 12, 4, 4, dtype=torch.float64) * 10
    theirs = torch.nn.LocalResponseNorm(5, alpha=1e-2, beta=0.75, k=2.0)(x)
    torch.testing.assert_close(response_norm(x, maps=12, **CONSTANTS), theirs, rtol=1e-14, atol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradients(memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    constants = {**CONSTANTS, "alpha": 0.5}
    assert torch.autograd.gradcheck(lambda t: response_norm(t, maps=4, **constants), (x,))


def test_an_empty_batch() -> None:
    assert response_norm(torch.empty(0, 8, 3, 3), maps=4, **CONSTANTS).shape == (0, 8, 3, 3)
