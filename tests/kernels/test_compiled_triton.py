"""The Triton kernels compile for GPUs that this machine lacks, as the net launches them."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from alexnet_dist import rng
from alexnet_dist.kernels.availability import kernel_warnings, triton_problem
from alexnet_dist.kernels.constants import NormConstants, NormPool
from alexnet_dist.rng import Rng

META = torch.device("meta")
triton = pytest.importorskip("triton")
TARGETS = {"H100": ("cuda", 90, 32), "MI300": ("hip", "gfx942", 64)}
OTHERS = {"GTX 1080": ("cuda", 61, 32), "V100": ("cuda", 70, 32), "T4": ("cuda", 75, 32), "unknown": ("cuda", 999, 32)}
NORM1 = NormPool(NormConstants(48, 5, 1e-4, 0.75, 2.0), 3, 2, relu_last=True), 96, 55  # of alexnet_2012
NORM2 = NormPool(NormConstants(128, 5, 1e-4, 0.75, 2.0), 3, 2, relu_last=True), 256, 27


class Compiled:
    """Stands for a kernel: compiles it for what it is launched with, as Triton does before it launches."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        kernel.device_caches.clear()

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: Any, **options: Any) -> None:
            self.binary = self._kernel.warmup(*arguments, grid=grid, **options)

        return launch


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The kernels' module, which compiles in place of launching."""
    from alexnet_dist.kernels import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # so that nothing is found compiled
    for name in ("_norm_pool", "_norm_pool_backward"):
        monkeypatch.setattr(triton_kernels, name, Compiled(getattr(triton_kernels, name)))
    yield triton_kernels
    triton.runtime.driver.set_active(None)


def compile_for(target: str) -> None:
    """Make Triton compile for a GPU as if it were there."""
    device = triton.backends.compiler.GPUTarget(*(TARGETS | OTHERS)[target])
    answers = {"current_target": device, "current_device": 0, "current_stream": 0}
    triton.runtime.driver.set_active(
        SimpleNamespace(**{f"get_{name}": lambda *_, value=value: value for name, value in answers.items()})
    )


def compiled(kernels: Any, target: str, layers: NormPool, channels: int, size: int, dtype: torch.dtype) -> list[Any]:
    """Forward and backward for a target, of images in channels-last memory."""
    compile_for(target)
    pooled_size = (size - layers.kernel) // layers.stride + 1
    x, pooled, chosen = (
        torch.empty(2, channels, size, size, dtype=kind, device="meta").to(memory_format=torch.channels_last)
        for size, kind in ((size, dtype), (pooled_size, dtype), (pooled_size, torch.uint8))
    )
    kernels.norm_pool(x, layers, pooled, chosen)
    kernels.norm_pool_backward(x, chosen, pooled, layers, torch.empty_like(x))
    return [kernels._norm_pool.binary, kernels._norm_pool_backward.binary]


@pytest.mark.parametrize(
    "target, dtype", [("H100", torch.float64), ("MI300", torch.bfloat16), ("MI300", torch.float64)]
)  # the H100's bf16 is below
def test_compile_for(target: str, dtype: torch.dtype, kernels: ModuleType) -> None:
    for binary in compiled(kernels, target, *NORM1, dtype):
        assert binary.asm["cubin" if TARGETS[target][0] == "cuda" else "hsaco"]


@pytest.mark.parametrize("target", TARGETS)
def test_masks_compile_for(target: str, kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their words are shifted as unsigned ones, and keys of both signs share a kernel."""
    from alexnet_dist.kernels import triton_masks

    kernel = Compiled(triton_masks._mask)
    monkeypatch.setattr(triton_masks, "_mask", kernel)
    monkeypatch.setattr(rng, "triton_runs_on", lambda device: True)
    compile_for(target)
    found = []
    for step in range(8):
        Rng(0).dropout_mask("dropout6", step, 0.5, slice(16 * step, 16 * step + 128), slice(0, 4096), META)
        found.append(kernel.binary)
    assert all(binary is found[0] for binary in found)
    code = found[0].asm["ttgir"]
    assert "arith.shrui" in code and "arith.shrsi" not in code


@pytest.mark.parametrize("layers", [NORM1, NORM2], ids=["norm1", "norm2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_nothing_spills_on_an_h100(
    layers: tuple[NormPool, int, int], dtype: torch.dtype, kernels: ModuleType, tmp_path: Path
) -> None:
    """And four blocks of 128 threads or more share a multiprocessor's 65,536 registers."""
    for binary in compiled(kernels, "H100", *layers, dtype):
        (tmp_path / "cubin").write_bytes(binary.asm["cubin"])
        shown = subprocess.run(
            [triton.knobs.nvidia.cuobjdump.path, "-res-usage", tmp_path / "cubin"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", shown).groups())  # type: ignore[union-attr]
        assert registers <= 128 and stack == 0, (binary.name, shown)


@pytest.fixture
def problem(kernels: ModuleType) -> Iterator[Callable[[], str | None]]:
    """Why Triton does not run, found out anew."""
    from alexnet_dist.kernels import triton_masks

    def found() -> str | None:
        triton_masks._mask.device_caches.clear()
        triton_problem.cache_clear()
        return triton_problem()

    yield found
    triton_problem.cache_clear()


@pytest.mark.parametrize("target", ["H100", "MI300", "V100", "T4"])
def test_gpus_that_triton_compiles_for(target: str, problem: Callable[[], str | None]) -> None:
    compile_for(target)
    assert problem() is None


@pytest.mark.parametrize(
    "target, reason",
    [
        ("GTX 1080", "Triton needs sm_70 or later, this GPU is sm_61"),
        ("unknown", "Triton does not run: ptxas"),  # newer than its assembler
    ],
)
def test_gpus_that_triton_does_not_compile_for(
    target: str, reason: str, problem: Callable[[], str | None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Known before the first step, which would fail; the norm and the masks are then torch's operations."""
    compile_for(target)
    found = problem()
    assert found is not None and found.startswith(reason)
    assert "ptxas" not in capfd.readouterr().out
    (line,) = kernel_warnings(torch.device("cuda"))
    assert line.startswith(f"response norm: {reason}") and "\n" not in line


def test_a_compiler_that_does_not_find_pythons_headers(
    problem: Callable[[], str | None],
) -> None:
    def build() -> None:
        subprocess.run(["false", "-I/usr/include/python3.11"], check=True)

    triton.runtime.driver.set_active(SimpleNamespace(get_current_target=build))
    assert problem() == "Triton does not run: false failed: a C compiler and Python's headers (python3-dev) are needed"
