"""Which device a rank takes, and which ranks are refused, on machines with 0, 1, 2 and 8 GPUs."""

import pytest
import torch
from replaced_gpus import A100, EIGHT, GTX_1080, L4, NO_GPU, OLD_DRIVER, ONE, RTX_5090, TWO, V100, Machine

from alexnet_dist.distributed import devices
from alexnet_dist.errors import UsageError


@pytest.mark.parametrize(
    "machine, environment, count, third, backend",
    [
        (NO_GPU, {}, 0, "cpu", "gloo"),
        (ONE, {}, 1, "cuda:0", "nccl"),
        (TWO, {}, 2, "cuda:0", "nccl"),
        (EIGHT, {}, 8, "cuda:2", "nccl"),
        (EIGHT, {"ACCELERATE_USE_CPU": "true"}, 0, "cpu", "gloo"),
        (OLD_DRIVER, {}, 0, "cpu", "gloo"),
        (ONE, {devices.SHARED_GPU: "gloo"}, 1, "cuda:0", "gloo"),
    ],
)
def test_the_third_rank_of_a_machine(
    machine: Machine,
    environment: dict[str, str],
    count: int,
    third: str,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine.replace(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert devices.gpu_count() == count
    assert devices.own_device(2) == torch.device(third)
    assert devices.tensor_backend() == backend


def test_one_process_has_a_gpu_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate gives it "cuda", which `torch.cuda.set_device` refuses in the loader's thread."""
    ONE.replace(monkeypatch)
    assert devices.with_index(torch.device("cuda")) == torch.device("cuda", 0)
    assert devices.with_index(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert devices.with_index(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("ranks, gpus", [(2, 0), (2, 1), (2, 2), (1, 8)])
def test_ranks_that_may_each_have_a_gpu(ranks: int, gpus: int) -> None:
    """With --gpus-per-task=1 each rank sees one GPU, its own."""
    devices.check_count(ranks, gpus)


def test_more_ranks_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="GPUs: 3 ranks and 2 visible: one rank a GPU"):
        devices.check_count(3, 2)
    monkeypatch.setenv(devices.SHARED_GPU, "gloo")
    devices.check_count(3, 2)


def test_ranks_that_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    devices.check_not_shared([None, None])
    devices.check_not_shared(["a", "b"])
    with pytest.raises(UsageError, match=r"GPUs: ranks 1, 2 share one \(b\): one rank a GPU"):
        devices.check_not_shared(["a", "b", "b"])
    monkeypatch.setenv(devices.SHARED_GPU, "nccl")
    devices.check_not_shared(["a", "a"])


def test_gpus_of_amds_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of an MI300X have one identifier, and some drivers give all GPUs the same: RCCL looks for itself."""
    TWO.replace(monkeypatch)
    assert devices.own_uuid(torch.device("cuda", 1)) == "uuid-1" and devices.own_uuid(torch.device("cpu")) is None
    monkeypatch.setattr(torch.version, "hip", "7.1")
    assert devices.own_uuid(torch.device("cuda", 1)) is None


def test_a_backend_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.SHARED_GPU, "true")
    with pytest.raises(UsageError, match="must be gloo or nccl"):
        devices.tensor_backend()


def test_several_models_are_warned_about() -> None:
    assert devices.device_warnings([A100, A100]) == []
    (line,) = devices.device_warnings([A100, L4, A100])
    assert line.startswith(f"devices: 2 x {A100}, 1 x {L4}: the slowest sets the pace")


FOR_CUDA_12_6, FOR_CUDA_13 = "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90", "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"


@pytest.mark.parametrize(
    "gpu, built",
    [
        (GTX_1080, FOR_CUDA_12_6),
        (L4, FOR_CUDA_12_6),
        (L4, FOR_CUDA_13),
        (RTX_5090, FOR_CUDA_13),
        (RTX_5090, "sm_90a compute_90"),  # compiled by the driver
        (V100, ""),  # torch does not say
        (V100, "native"),
    ],
)
def test_gpus_that_torch_is_built_for(gpu: str, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine((gpu,), built=built).replace(monkeypatch)
    devices.check_built_for(torch.device("cuda", 0))
    devices.check_built_for(torch.device("cpu"))


@pytest.mark.parametrize(
    "gpu, built, named",
    [
        (GTX_1080, FOR_CUDA_13, r"NVIDIA GeForce GTX 1080 \(sm_61\)"),
        (V100, FOR_CUDA_13, r"Tesla V100-SXM2-16GB \(sm_70\)"),
        (RTX_5090, FOR_CUDA_12_6, r"NVIDIA GeForce RTX 5090 \(sm_120\)"),
        (V100, "sm_60 sm_75 sm_90", r"Tesla V100-SXM2-16GB \(sm_70\)"),
    ],
)
def test_gpus_that_torch_is_not_built_for(gpu: str, built: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch counts them among the GPUs, and fails in its first kernel there."""
    Machine((A100, gpu), built=built).replace(monkeypatch)
    with pytest.raises(
        UsageError, match=rf"^GPUs: {named}: .* has no kernels for it, only for .*{built[-5:]}: install"
    ):
        devices.check_built_for(torch.device("cuda", 1))
