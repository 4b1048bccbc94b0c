"""Peak arithmetic rates of known GPUs, from their makers' data sheets and white papers: dense, without sparsity.

Where a GPU has tensor cores, AMD's matrix cores, for a precision, theirs; half precisions with sums in fp32, as torch
computes. fp64 is listed only where there are units for it.
"""


def _ampere_and_later(fp32: float, tf32: float, half: float, fp64: float | None = None) -> dict[str, float]:
    rates = {"fp32": fp32, "tf32": tf32, "bf16": half, "fp16": half}
    return rates if fp64 is None else {"fp64": fp64, **rates}


_B200 = _ampere_and_later(75.0, 1125.0, 2250.0, 37.0)  # HGX B200, an eighth of eight
_H100_SXM = _ampere_and_later(67.0, 494.7, 989.4, 67.0)  # H100, H200 and GH200 data sheets
_H100_NVL = _ampere_and_later(60.0, 417.5, 835.5, 60.0)  # H100 and H200 NVL data sheets
_A100 = _ampere_and_later(19.5, 156.0, 312.0, 19.5)
_V100_SXM2 = {"fp64": 7.8, "fp32": 15.7, "fp16": 125.0}
_V100_PCIE = {"fp64": 7.0, "fp32": 14.0, "fp16": 112.0}
# torch computes no TF32 there. An MI250X is two devices of half its rates each.
_MI300X = {"fp64": 163.4, "fp32": 163.4, "bf16": 1307.4, "fp16": 1307.4}
_MI250X = {"fp64": 47.9, "fp32": 47.9, "bf16": 191.5, "fp16": 191.5}
_MI210 = {"fp64": 45.3, "fp32": 45.3, "bf16": 181.0, "fp16": 181.0}

# TFLOP/s by the device name that torch reports, by precision.
_PEAK_TFLOPS: dict[str, dict[str, float]] = {
    "NVIDIA B200": _B200,
    "NVIDIA H200": _H100_SXM,
    "NVIDIA H200 NVL": _H100_NVL,
    "NVIDIA GH200 120GB": _H100_SXM,
    "NVIDIA GH200 144G HBM3e": _H100_SXM,
    "NVIDIA GH200 480GB": _H100_SXM,
    "NVIDIA H100 80GB HBM3": _H100_SXM,
    "NVIDIA H100 NVL": _H100_NVL,
    "NVIDIA H100 PCIe": _ampere_and_later(51.0, 378.0, 756.0, 51.0),
    "NVIDIA A100-SXM4-40GB": _A100,
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA A100-PCIE-40GB": _A100,
    "NVIDIA A100 80GB PCIe": _A100,
    "NVIDIA A30": _ampere_and_later(10.3, 82.0, 165.0, 10.3),
    "NVIDIA A40": _ampere_and_later(37.4, 74.8, 149.7),
    "NVIDIA A10": _ampere_and_later(31.2, 62.5, 125.0),
    "NVIDIA L40S": _ampere_and_later(91.6, 183.0, 362.0),
    "NVIDIA L40": _ampere_and_later(90.5, 90.5, 181.0),
    "NVIDIA L4": _ampere_and_later(30.3, 60.0, 121.0),
    "Tesla V100-SXM2-16GB": _V100_SXM2,
    "Tesla V100-SXM2-32GB": _V100_SXM2,
    "Tesla V100-PCIE-16GB": _V100_PCIE,
    "Tesla V100-PCIE-32GB": _V100_PCIE,
    "Tesla T4": {"fp32": 8.1, "fp16": 65.0},
    "AMD Instinct MI300X": _MI300X,
    "AMD Instinct MI325X": _MI300X,
    "AMD Instinct MI250X": _MI250X,
    "AMD Instinct MI210": _MI210,
    # White papers of GA102 (RTX 30, A6000), of Ada (RTX 40, 6000) and of RTX Blackwell (RTX 50).
    "NVIDIA GeForce RTX 5090": _ampere_and_later(104.8, 104.8, 209.5),
    "NVIDIA GeForce RTX 5080": _ampere_and_later(56.3, 56.3, 112.6),
    "NVIDIA GeForce RTX 4090": _ampere_and_later(82.6, 82.6, 165.2),
    "NVIDIA GeForce RTX 4080": _ampere_and_later(48.7, 48.7, 97.5),
    "NVIDIA GeForce RTX 3090": _ampere_and_later(35.6, 35.6, 71.0),
    "NVIDIA GeForce RTX 3080": _ampere_and_later(29.8, 29.8, 59.5),
    "NVIDIA RTX 6000 Ada Generation": _ampere_and_later(91.1, 182.1, 364.2),
    "NVIDIA RTX A6000": _ampere_and_later(38.7, 77.4, 154.8),
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
