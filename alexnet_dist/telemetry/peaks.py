"""Peak arithmetic of known devices, from their makers' data sheets (dense, without sparsity)."""

# By a part of the name torch reports: TFLOP/s in fp64, fp32, tf32 and bf16; a longer name comes before its prefix.
_PEAK_TFLOPS: dict[str, dict[str, float]] = {
    "H200": {"fp64": 67, "fp32": 67, "tf32": 494.7, "bf16": 989.4},
    "H100 PCIe": {"fp64": 51, "fp32": 51, "tf32": 378, "bf16": 756},
    "H100": {"fp64": 67, "fp32": 67, "tf32": 494.7, "bf16": 989.4},
    "A100": {"fp64": 19.5, "fp32": 19.5, "tf32": 156, "bf16": 312},
    "A10G": {"fp32": 31.2, "tf32": 70, "bf16": 70},
    "V100": {"fp64": 7.8, "fp32": 15.7},
    "L40S": {"fp32": 91.6, "tf32": 183, "bf16": 362},
    "RTX 4090": {"fp32": 82.6, "tf32": 82.6, "bf16": 165.2},
    "RTX 3090": {"fp32": 35.6, "tf32": 35.6, "bf16": 71},
}


def model_flops_utilisation(flops_per_second: float, devices: list[str], precision: str) -> float | None:
    """Achieved over possible operations per second; None unless every device's peak is known.

    Args:
        flops_per_second: of all devices together, operations of the net only.
        devices: name of each rank's device.
        precision: as in `train.precision`.
    """
    peaks = [
        next((peaks.get(precision) for part, peaks in _PEAK_TFLOPS.items() if part in name), None) for name in devices
    ]
    known = [peak for peak in peaks if peak is not None]
    return flops_per_second / (sum(known) * 1e12) if len(known) == len(peaks) else None
