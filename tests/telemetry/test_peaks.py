"""What model FLOPs utilisation refers to."""

import pytest
from replaced_gpus import A100, L4, V100

from alexnet_dist.telemetry.peaks import model_flops_utilisation

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    "devices, precision, peak",
    [
        ([H100, H100], "bf16", 2 * 989.4),
        ([A100, L4], "bf16", 312 + 121),
        ([V100], "fp16", 125),
        (["NVIDIA GH200 480GB"], "tf32", 494.7),
        (["NVIDIA H100 NVL"], "bf16", 835.5),
        (["NVIDIA B200"], "fp64", 37),
        (["NVIDIA A10"], "bf16", 125),
        (["NVIDIA GeForce RTX 4090"], "fp32", 82.6),
        (["AMD Instinct MI300X"], "bf16", 1307.4),
        (["AMD Instinct MI250X"] * 2, "bf16", 383),
        (["Tesla V100-PCIE-16GB"], "fp16", 112),
    ],
)
def test_utilisation_of_all_devices_together(devices: list[str], precision: str, peak: float) -> None:
    assert model_flops_utilisation(peak * 1e12 / 2, devices, precision) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "devices, precision",
    [([H100, "NVIDIA H100 80GB HBM3 MIG 1g.10gb"], "bf16"), (["AMD EPYC"], "fp32"), ([V100], "bf16"), ([L4], "fp64")],
)
def test_it_is_reported_only_where_every_peak_is_known(devices: list[str], precision: str) -> None:
    assert model_flops_utilisation(1e12, devices, precision) is None
