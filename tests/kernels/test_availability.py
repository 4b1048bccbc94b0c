"""Where none of our kernels runs, one line says why."""

import pytest
import torch

from alexnet_dist.kernels import availability
from alexnet_dist.kernels.availability import kernel_warnings, triton_problem, triton_runs_on


def test_triton_runs_on_gpus_where_it_can_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "triton_problem", lambda: None)
    assert triton_runs_on(torch.device("cuda", 1)) and kernel_warnings(torch.device("cuda", 1)) == []
    assert not triton_runs_on(torch.device("cpu")) and not triton_runs_on(torch.device("mps"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_triton_does_not_reach() -> None:
    assert not triton_runs_on(torch.device("cuda")) and not triton_runs_on(torch.device("cpu"))
    (line,) = kernel_warnings(torch.device("cuda"))
    assert line.startswith("response norm: Triton does not run: ") and "\n" not in line
    assert triton_problem() in line


def test_a_device_that_has_no_kernel() -> None:
    assert kernel_warnings(torch.device("mps")) == [
        "response norm: no kernel for mps: computed with torch's operations, several times slower"
    ]
