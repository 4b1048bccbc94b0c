"""Errors that mean a lack of memory, as torch's allocators and CUDA word them."""

import pytest
import torch

from alexnet_dist.launcher.out_of_memory import out_of_memory

GPU = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.18 GiB of which {free} is free. "
)
OWN = "Including non-PyTorch memory, this process has {own} memory in use. "
REST = (
    "Of the allocated memory 17.50 GiB is allocated by PyTorch, and 20.00 MiB is reserved by PyTorch but unallocated."
)
WHOLE = "20.00 MiB more were asked for, 13.56 MiB of GPU 0's 79.18 GiB are free"


@pytest.mark.parametrize(
    "own, others",
    [("18.00 GiB", "; other processes hold 61.2 GiB of it"), ("79.10 GiB", ""), (None, "")],
)
def test_a_gpu_that_is_full_and_who_holds_it(own: str | None, others: str) -> None:
    text = GPU.format(free="13.56 MiB") + (OWN.format(own=own) if own else "") + REST
    assert out_of_memory(torch.OutOfMemoryError(text)) == WHOLE + others


def test_an_error_of_the_driver_without_its_advice_to_programmers() -> None:
    text = "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in …\nCompile with `TORCH_USE_CUDA_DSA`."
    assert out_of_memory(RuntimeError(text)) == "CUDA error: out of memory"


def test_a_cpu_that_is_full() -> None:
    text = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 2147483648 bytes. Error code 12"
    assert out_of_memory(RuntimeError(text)) == "2,048.0 MiB more were asked for"
    assert out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize(
    "text",
    [
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_what_cudas_libraries_could_not_get(text: str) -> None:
    assert out_of_memory(RuntimeError(text)) == text
    assert out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")) is None
