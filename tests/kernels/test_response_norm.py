"""The response norm against a plain loop over channels, compiled and in torch, in every dtype and memory format."""

import pytest
import torch
from torch import Tensor

from alexnet_dist.kernels import response_norm as module
from alexnet_dist.kernels.build import kernel_of
from alexnet_dist.kernels.response_norm import response_norm

CONSTANTS = {"size": 5, "alpha": 1e-2, "beta": 0.75, "k": 2.0}


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(module, "kernel_of", lambda _: None)
    else:
        assert kernel_of(torch.float32) is not None, "a C++ compiler is needed for these tests"
    return str(request.param)


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


@pytest.mark.parametrize("size, beta", [(5, 0.75), (3, 0.5)])
def test_one_tower_equals_torchs(size: int, beta: float) -> None:
    x = torch.randn(2, 12, 4, 4, dtype=torch.float64) * 10
    theirs = torch.nn.LocalResponseNorm(size, alpha=1e-2, beta=beta, k=2.0)(x)
    ours = response_norm(x, maps=12, size=size, alpha=1e-2, beta=beta, k=2.0)
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size, beta", [(5, 0.75), (3, 0.5)])
def test_gradients(memory_format: torch.memory_format, size: int, beta: float) -> None:
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: response_norm(t, 4, size, 0.5, beta, 2.0), (x,))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_number_that_is_none_stays_visible(value: float, dtype: torch.dtype) -> None:
    x = torch.zeros(1, 4, 1, 1, dtype=dtype)
    x[0, 1] = value
    assert response_norm(x, maps=4, **CONSTANTS)[0, 1].isnan().all()


def test_an_empty_batch() -> None:
    assert response_norm(torch.empty(0, 8, 3, 3), maps=4, **CONSTANTS).shape == (0, 8, 3, 3)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_it_is_an_operator_for_fake_tensors_and_compilers(memory_format: torch.memory_format) -> None:
    x, constants = torch.randn(2, 8, 3, 5).contiguous(memory_format=memory_format), (4, *CONSTANTS.values())
    torch.library.opcheck(torch.ops.alexnet_dist.response_norm.default, (x.requires_grad_(), *constants))
    gradient = torch.randn(2, 8, 3, 5)
    torch.library.opcheck(torch.ops.alexnet_dist.response_norm_backward.default, (x.detach(), gradient, *constants))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_leaves_it_alone(dtype: torch.dtype) -> None:
    x = (torch.randn(1, 8, 3, 3) * 20).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        under = response_norm(x, maps=4, **CONSTANTS)
    (gradient,) = torch.autograd.grad(under.float().sum(), x)
    plain_one = response_norm(x, maps=4, **CONSTANTS)
    assert under.dtype == gradient.dtype == dtype and torch.equal(under, plain_one)
    assert torch.equal(gradient, torch.autograd.grad(plain_one.float().sum(), x)[0])
