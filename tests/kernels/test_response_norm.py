"""The response norm on a CPU against its formula, compiled and in torch, in every dtype and memory format."""

from typing import Any

import pytest
import torch

from alexnet_dist.kernels import check
from alexnet_dist.kernels import response_norm as module
from alexnet_dist.kernels.cpu_kernels import kernel_of
from alexnet_dist.kernels.response_norm import response_norm

CPU = torch.device("cpu")
CONSTANTS: dict[str, Any] = {"size": 5, "alpha": 1e-2, "beta": 0.75, "k": 2.0}


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(module, "kernel_of", lambda _: None)
    else:
        assert kernel_of(torch.float32) is not None, "a C++ compiler is needed for these tests"
    return str(request.param)


@pytest.mark.parametrize("dtype", check.TOLERANCES, ids=str)
def test_equals_the_formula(dtype: torch.dtype) -> None:
    for case in check.cases(CPU, channels=24):
        if case.dtype == dtype:
            for shape in [(2, 24, 5, 7), (1, 24, 5, 7), (3, 24, 1, 1)]:
                assert max(check.errors(case, CPU, shape)) < check.TOLERANCES[dtype], (case, shape)


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


def test_torch_compile_sees_torchs_operations_where_there_is_no_kernel(way: str) -> None:
    """In one graph: else a kernel, or the norm's operations one by one, would stand between compiled ones."""
    if way == "torch" and torch.compile(lambda t: t + int(torch.compiler.is_exporting()), backend="eager")(
        torch.zeros(())
    ):
        pytest.skip("this torch calls every compilation an export, as 2.11 does")
    targets: list[str] = []

    def backend(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> torch.fx.GraphModule:
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    x = torch.randn(2, 8, 3, 5, requires_grad=True)
    torch._dynamo.reset()
    normed = torch.compile(lambda t: response_norm(t, 4, **CONSTANTS), backend=backend, fullgraph=True)(x)
    assert torch.equal(normed, response_norm(x, 4, **CONSTANTS))
    assert ("alexnet_dist.response_norm.default" in targets) == (way == "compiled")
    (compiled,), (plain,) = (torch.autograd.grad(y.sum(), x) for y in (normed, response_norm(x, 4, **CONSTANTS)))
    assert torch.equal(compiled, plain)
