"""Bytes that the response norm and what stands beside it move for each value, in bf16: the figures of docs/gpu.md.

Counted from the Triton kernels' own loads and stores, and from what torch's operations read and write.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from interpreted_kernels import interpreted
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alexnet_dist.kernels import shifted_adds
from alexnet_dist.kernels.constants import NormConstants, NormPool

NORM = NormConstants(maps=16, size=5, alpha=1e-4, beta=0.75, k=2.0)
MERGED = NormPool(NORM, kernel=3, stride=2, relu_last=True)  # as behind conv1 of alexnet_2012
SIZE, POOLED = 55, 27

Bytes = tuple[int, int]  # forward, backward


class Traffic:
    """Addresses that kernels load from and store to."""

    def __init__(self) -> None:
        self._addresses: dict[tuple[str, int], list[np.ndarray[Any, Any]]] = {}  # by kind and bytes of a value

    def add(self, kind: str, pointers: Any, mask: Any) -> None:
        width = pointers.get_element_ty().primitive_bitwidth // 8
        self._addresses.setdefault((kind, width), []).append(pointers.data[mask.data])

    def requested(self) -> int:
        """Bytes that programs ask the caches for."""
        return sum(width * len(part) for (_, width), parts in self._addresses.items() for part in parts)

    def moved(self) -> int:
        """Bytes that memory must deliver or take, where the cache keeps what neighbouring programs share."""
        return sum(width * len(np.unique(np.concatenate(parts))) for (_, width), parts in self._addresses.items())


@contextmanager
def watched() -> Iterator[Traffic]:
    from triton.runtime.interpreter import interpreter_builder as builder

    traffic, load, store = Traffic(), builder.create_masked_load, builder.create_masked_store

    def watched_load(pointers: Any, mask: Any, *rest: Any) -> Any:
        traffic.add("loads", pointers, mask)
        return load(pointers, mask, *rest)

    def watched_store(pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        traffic.add("stores", pointers, mask)
        return store(pointers, value, mask, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "create_masked_load", watched_load)
        patch.setattr(builder, "create_masked_store", watched_store)
        yield traffic


class TorchTraffic(TorchDispatchMode):
    """Bytes that torch's operations read and write, each from and to memory."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        name, returns = operation._schema.name, operation._schema.returns
        if "empty" in name or any(each.alias_info is not None and not each.alias_info.is_write for each in returns):
            return result  # memory without values, a view
        read = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if name in UNREAD:
            del read[UNREAD[name]]
        written = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        self.bytes += sum(each.numel() * each.element_size() for each in read + written)
        return result


# Arguments of operations that look at no value of theirs.
UNREAD = {"aten::copy_": 0, "aten::max_pool2d_with_indices_backward": 1}


def of_torch(compute: Callable[[], object]) -> int:
    with TorchTraffic() as traffic:
        compute()
    return traffic.bytes


def of_triton(compute: Callable[[], object]) -> int:
    with watched() as traffic:
        compute()
    assert traffic.moved() <= traffic.requested() < 2.5 * traffic.moved()
    return traffic.moved()


def images(size: int = SIZE, dtype: torch.dtype = torch.bfloat16, device: str = "cpu") -> Tensor:
    return torch.ones(1, NORM.maps, size, size, dtype=dtype, device=device).to(memory_format=torch.channels_last)


def torch_norm() -> Bytes:
    rows = torch.empty(SIZE**2, NORM.maps, dtype=torch.bfloat16, device="meta")
    out = torch.empty_like(rows)
    return (
        of_torch(lambda: shifted_adds.in_pieces(NORM, [rows], out)),
        of_torch(lambda: shifted_adds.in_pieces(NORM, [rows, rows], out)),
    )


def norm(kernels: ModuleType) -> Bytes:
    x, gradient, out = images(), images(), images()
    backward = of_triton(lambda: kernels.norm_backward(x, gradient, NORM, out))
    return of_triton(lambda: kernels.norm(x, NORM, out)), backward


def pool() -> Bytes:
    x, pooled, positions = images(device="meta"), images(POOLED, device="meta"), images(POOLED, torch.int64, "meta")
    window, aten = ([3, 3], [2, 2], [0, 0], [1, 1], False), torch.ops.aten
    return (
        of_torch(lambda: aten.max_pool2d_with_indices(x, *window)),
        of_torch(lambda: aten.max_pool2d_with_indices_backward(pooled, x, *window, positions)),
    )


def relu(size: int) -> Bytes:
    x = images(size, device="meta")
    return of_torch(x.relu_), of_torch(lambda: torch.ops.aten.threshold_backward(x, x, 0))


def merged(kernels: ModuleType, layers: NormPool) -> Bytes:
    x, pooled, chosen, out = images(), images(POOLED), images(POOLED, torch.uint8), images()
    return (
        of_triton(lambda: kernels.norm_pool(x, layers, pooled, chosen)),
        of_triton(lambda: kernels.norm_pool_backward(x, chosen, pooled, layers, out)),
    )


def test_the_figures_of_the_page() -> None:
    with interpreted() as kernels:
        alone = norm(kernels)
        code, paper = merged(kernels, MERGED), merged(kernels, replace(MERGED, relu_first=True, relu_last=False))
    rows = {
        "norm in torch's operations": [torch_norm()],
        "norm": [alone],
        "norm, pool": [alone, pool()],
        "norm, pool, ReLU": [alone, pool(), relu(POOLED)],
        "ReLU, norm, pool": [relu(SIZE), alone, pool()],
        "norm, pool, ReLU, merged": [code],
        "ReLU, norm, pool, merged": [paper],
    }
    page = re.findall(
        r"^\| (.*) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / "docs/gpu.md").read_text(), re.MULTILINE
    )
    counted = []
    for layers, parts in rows.items():
        forward, backward = (sum(side) / images().numel() for side in zip(*parts, strict=True))
        counted.append((layers, *(f"{figure:.1f}" for figure in (forward, backward, forward + backward))))
    assert page == counted
