"""Shapes, dtypes and strides that the kernels' operators give for fake tensors on a GPU."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.kernels import norm_pool, shifted_adds
from alexnet_dist.kernels.constants import NormConstants, NormPool
from alexnet_dist.nets.alexnet import AlexNet

NORM = (48, 5, 1e-4, 0.75, 2.0)
FORMATS = [torch.channels_last, torch.contiguous_format]


@pytest.fixture(autouse=True)
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(norm_pool, "triton_runs_on", lambda device: device.type == "cuda")
    with FakeTensorMode(), torch.device("cuda"):
        yield


def images(size: int, memory_format: torch.memory_format, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(4, 96, size, size, dtype=dtype).contiguous(memory_format=memory_format)


def is_like(values: Tensor, other: Tensor) -> bool:
    return values.device == other.device and values.dtype == other.dtype and values.stride() == other.stride()


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_forward_and_backward_keep_the_memory_format(memory_format: torch.memory_format, dtype: torch.dtype) -> None:
    operators = torch.ops.alexnet_dist
    x, gradient = images(55, memory_format, dtype), images(55, torch.contiguous_format, dtype)
    assert is_like(operators.response_norm(x, *NORM), x)
    assert is_like(operators.response_norm_backward(x, gradient, *NORM), x)
    pool = (3, 2, False, True)
    pooled, chosen = operators.norm_pool(x, *NORM, *pool)
    assert is_like(pooled, images(27, memory_format, dtype))
    assert is_like(chosen, images(27, memory_format, torch.uint8))
    assert is_like(operators.norm_pool_backward(x, chosen, images(27, torch.contiguous_format), *NORM, *pool), x)


@pytest.mark.parametrize("follows", ["code", "paper"])
def test_a_net_under_autocast(follows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layers are merged, and half precision stays in front of and behind them."""
    flags = ["--net.name", "alexnet_2012", "--net.follows", follows, "--data.name", "synthetic"]
    net = AlexNet(table_of(resolve(load(flags), 1).net))
    seen: list[tuple[Tensor, Tensor]] = []
    plain = norm_pool.norm_pool

    def watched(x: Tensor, layers: NormPool) -> Tensor:
        seen.append((x, y := plain(x, layers)))
        return y

    monkeypatch.setattr("alexnet_dist.nets.merging.norm_pool", watched)
    images = torch.empty(4, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    try:
        torch.set_autocast_enabled("cuda", True)  # torch.autocast asks for a driver
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        logits = net(images)
    finally:
        torch.set_autocast_enabled("cuda", False)
    assert logits.dtype == torch.bfloat16 and logits.shape == (4, 1000) and logits.device.type == "cuda"
    assert [tuple(y.shape) for _, y in seen] == [(4, 96, 27, 27), (4, 256, 13, 13)]
    assert all(x.dtype == y.dtype == torch.bfloat16 for x, y in seen)


def test_torchs_operations_need_no_more_memory_for_a_larger_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch 1024: the temporaries of all 297 million values at once would fill a card of 8 GB."""
    rows, sizes = torch.empty(2 * 1024 * 55 * 55, 48, dtype=torch.bfloat16), list[int]()

    def forward(norm: NormConstants, x: Tensor) -> Tensor:
        sizes.append(x.numel())
        return x

    monkeypatch.setattr(shifted_adds, "forward", forward)
    shifted_adds.in_pieces(NormConstants(*NORM), [rows], torch.empty_like(rows))
    assert sum(sizes) == rows.numel() and max(sizes) <= shifted_adds.GPU_PIECE
