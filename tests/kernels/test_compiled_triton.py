"""The Triton kernels compile for GPUs that this machine lacks, as the net launches them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from alexnet_dist.kernels.constants import Norm, NormPool

triton = pytest.importorskip("triton")
DTYPES = {torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.float64: "*fp64", torch.uint8: "*u8"}
TARGETS = {"H100": ("cuda", 90, 32), "MI300": ("hip", "gfx942", 64)}


class Launches:
    """Stands for a kernel, and keeps what it is launched with."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.arguments: tuple[Any, ...] = ()

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self._launch

    def _launch(self, *arguments: Any, num_warps: int) -> None:
        self.arguments, self.num_warps = arguments, num_warps

    def compiled(self, target: tuple[Any, ...]) -> Any:
        """The kernel compiled for the arguments of the last launch."""
        signature: dict[str, Any] = {}
        constants: dict[tuple[int, ...], Any] = {}
        for i, (parameter, value) in enumerate(zip(self.kernel.params, self.arguments, strict=True)):
            if parameter.is_constexpr:
                signature[parameter.name], constants[i,] = "constexpr", value
            elif isinstance(value, tuple):
                constants |= {(i, j): 1 for j, stride in enumerate(value) if stride == 1}
                signature[parameter.name] = tuple("constexpr" if stride == 1 else "i32" for stride in value)
            else:
                signature[parameter.name] = DTYPES[value.dtype] if isinstance(value, torch.Tensor) else "i32"
        source = triton.compiler.ASTSource(self.kernel, signature, constants)
        device = triton.backends.compiler.GPUTarget(*target)
        return triton.compile(source, target=device, options={"num_warps": self.num_warps})


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    from alexnet_dist.kernels import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # so that nothing is found compiled
    both = SimpleNamespace(module=triton_kernels)
    for name in ("forward", "backward"):
        kernel = "_norm_pool" if name == "forward" else "_norm_pool_backward"
        setattr(both, name, Launches(getattr(triton_kernels, kernel)))
        monkeypatch.setattr(triton_kernels, kernel, getattr(both, name))
    return both


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_compile_for(target: str, dtype: torch.dtype, launches: SimpleNamespace) -> None:
    """As norm1 of alexnet_2012."""
    layers = NormPool(Norm(48, 5, 1e-4, 0.75, 2.0), 3, 2, relu_last=True)
    x, pooled, chosen = (
        torch.empty(2, 96, size, size, dtype=kind, device="meta").to(memory_format=torch.channels_last)
        for size, kind in ((55, dtype), (27, dtype), (27, torch.uint8))
    )
    launches.module.norm_pool(x, layers, pooled, chosen)
    launches.module.norm_pool_backward(x, chosen, pooled, layers, torch.empty_like(x))
    for kernel in (launches.forward, launches.backward):
        binary = kernel.compiled(TARGETS[target])
        assert binary.asm["cubin" if TARGETS[target][0] == "cuda" else "hsaco"]
