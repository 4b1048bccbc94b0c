"""Where each precision is possible, on GPUs old and new."""

import pytest
import torch
from replaced_gpus import A100, V100, Machine

from alexnet_dist import registry
from alexnet_dist.errors import UsageError

CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize("precision", ["fp64", "fp32", "tf32", "bf16", "fp16"])
def test_a_new_gpu_has_all(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine((A100,)).replace(monkeypatch)
    registry.precisions[precision].check(CUDA)
    assert registry.precisions[precision].warnings(CUDA) == []


def test_a_gpu_before_ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine((V100,)).replace(monkeypatch)
    with pytest.raises(UsageError, match="only NVIDIA GPUs since Ampere have it"):
        registry.precisions["tf32"].check(CUDA)
    registry.precisions["bf16"].check(CUDA)
    (line,) = registry.precisions["bf16"].warnings(CUDA)
    assert "bf16 is emulated by this GPU: fp16 or fp32 is faster" in line


def test_a_gpu_of_amds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its capability looks like one of a new GPU of NVIDIA's: 9.4 of an MI300X."""
    Machine((A100,)).replace(monkeypatch)
    monkeypatch.setattr(torch.version, "hip", "7.1")
    with pytest.raises(UsageError, match="only NVIDIA GPUs since Ampere have it"):
        registry.precisions["tf32"].check(CUDA)
    registry.precisions["fp16"].check(CUDA)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_a_cpu_has_neither(precision: str) -> None:
    with pytest.raises(UsageError, match=f"train.precision: {precision}"):
        registry.precisions[precision].check(torch.device("cpu"))
