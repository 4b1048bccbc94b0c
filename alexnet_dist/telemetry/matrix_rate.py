"""How many operations a second a device does in matrix products.

python -m alexnet_dist.telemetry.matrix_rate --precision bf16 --output rate.json

writes {"rate": operations per second} to --output.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from alexnet_dist.config.precisions import set_switches
from alexnet_dist.distributed.devices import own_device
from alexnet_dist.distributed.host_cpu import use_own_cores
from alexnet_dist.registry import precisions

SIZE = 4096
SECONDS = 5.0
QUEUED = 10  # products that a GPU computes per timing: starting and awaiting each one would count as computing


def matrix_rate(
    dtype: torch.dtype, size: int = SIZE, seconds: float = SECONDS, device: str | torch.device = "cpu"
) -> float:
    """Operations per second of the fastest of all products computed; on a GPU, of the fastest `QUEUED` in a row.

    The fastest, because it shows what the machine can do: disturbances only make a product slower.

    Args:
        size: of the square matrices.
        seconds: how long products are computed.
    """
    a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    products = QUEUED if a.is_cuda else 1
    best, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        for _ in range(products):
            torch.mm(a, b)
        if a.is_cuda:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return products * 2 * size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", required=True, choices=precisions.names())
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    use_own_cores()
    precision = precisions[arguments.precision]
    set_switches(precision)
    rate = matrix_rate(getattr(torch, precision.compute), device=own_device(0))
    arguments.output.write_text(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
