"""How fast each rank's device multiplies matrices, all at once as in training: a slow one would slow all others."""

import statistics
from collections.abc import Sequence

import torch
import torch.distributed as dist

from alexnet_dist.doctor.facts import RankFacts
from alexnet_dist.telemetry.matrix_rate import matrix_rate

SECONDS = 0.5
CPU_SIZE, GPU_SIZE = 1024, 4096
SLOW = 0.8  # of the median rank's rate


def measure_rates(device: torch.device, dtype: torch.dtype) -> list[float]:
    """Operations per second in `dtype`, by rank. Collective, where there is a process group."""
    size = GPU_SIZE if device.type == "cuda" else CPU_SIZE
    if not dist.is_initialized():
        return [matrix_rate(dtype, size, SECONDS, device)]
    dist.barrier()
    own = torch.tensor([matrix_rate(dtype, size, SECONDS, device)], dtype=torch.float64, device=device)
    rates = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(rates, own)
    return [float(rate) for rate in rates]


def slow_ranks(ranks: Sequence[RankFacts], rates: Sequence[float]) -> list[str]:
    """A line for each rank that is much slower than the median.

    Args:
        ranks, rates: by rank.
    """
    median = statistics.median(rates)
    return [
        f"rank {facts.rank} on {facts.host} multiplies at {rate / median:.2f} of the median rank's rate: every step "
        "will wait for it; is its device shared, or throttled?"
        for facts, rate in zip(ranks, rates, strict=True)
        if rate < SLOW * median
    ]
