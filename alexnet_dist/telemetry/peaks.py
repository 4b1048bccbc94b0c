"""Peak arithmetic rates of known devices, from their data sheets (dense, without sparsity)."""

_H100_SXM = {"fp64": 67.0, "fp32": 67.0, "tf32": 494.7, "bf16": 989.4, "fp16": 989.4}
_A100 = {"fp64": 19.5, "fp32": 19.5, "tf32": 156.0, "bf16": 312.0, "fp16": 312.0}
_V100_SXM2 = {"fp64": 7.8, "fp32": 15.7, "fp16": 125.0}

# TFLOP/s by the device name that torch reports, by precision.
_PEAK_TFLOPS: dict[str, dict[str, float]] = {
    "NVIDIA H200": _H100_SXM,
    "NVIDIA H100 80GB HBM3": _H100_SXM,
    "NVIDIA H100 PCIe": {"fp64": 51.0, "fp32": 51.0, "tf32": 378.0, "bf16": 756.0, "fp16": 756.0},
    "NVIDIA A100-SXM4-40GB": _A100,
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA A100-PCIE-40GB": _A100,
    "NVIDIA A100 80GB PCIe": _A100,
    "Tesla V100-SXM2-16GB": _V100_SXM2,
    "Tesla V100-SXM2-32GB": _V100_SXM2,
    "NVIDIA L40S": {"fp32": 91.6, "tf32": 183.0, "bf16": 362.0, "fp16": 362.0},
}


def model_flops_utilisation(flops_per_second: float, devices: list[str], precision: str) -> float | None:
    """Achieved over peak operations per second; None unless every device's peak is known.

    Args:
        flops_per_second: the net's operations, on all devices together.
        devices: names, by rank.
        precision: as in `train.precision`.
    """
    peaks = [_PEAK_TFLOPS.get(name, {}).get(precision) for name in devices]
    known = [peak for peak in peaks if peak is not None]
    return flops_per_second / (sum(known) * 1e12) if len(known) == len(peaks) else None
