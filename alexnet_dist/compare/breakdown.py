"""What a step's time is spent on, and in which dtypes it sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from alexnet_dist.compare.statistics import pooled_median

if TYPE_CHECKING:
    from alexnet_dist.compare.records import FinishedRun

COMPUTE, COMMUNICATION, DATA, OPTIMIZER = "compute", "communication", "data wait", "optimizer"
COMPUTE_AND_COMMUNICATION = "compute and communication"  # where no control run tells them apart
_SHORT = {"float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def break_down(runs: Sequence[FinishedRun], controls: Sequence[FinishedRun]) -> dict[str, float]:
    """Seconds of the median step, by what they are spent on.

    Communication is how much longer a step takes than the control run's of the same round, in which nothing is sent; it
    includes waiting for other ranks and packing for the wire.

    Args:
        runs: of one case, by round.
        controls: its control runs, by round; there may be fewer.
    """
    step = pooled_median([[s["seconds"] for s in run.steps] for run in runs])
    data = pooled_median([[s["data_wait"] for s in run.steps] for run in runs])
    optimizer = pooled_median([[s["optimizer_seconds"] for s in run.steps] for run in runs])
    rest = max(0.0, step - data - optimizer)
    if runs[0].summary["world_size"] == 1:
        return {COMPUTE: rest, COMMUNICATION: 0.0, DATA: data, OPTIMIZER: optimizer}
    pairs = min(len(runs), len(controls))
    if not pairs:
        return {COMPUTE_AND_COMMUNICATION: rest, DATA: data, OPTIMIZER: optimizer}
    share = min(1.0, _rest(controls[:pairs]) / _rest(runs[:pairs]))
    return {COMPUTE: rest * share, COMMUNICATION: rest * (1 - share), DATA: data, OPTIMIZER: optimizer}


def _rest(runs: Sequence[FinishedRun]) -> float:
    return pooled_median([[s["seconds"] - s["data_wait"] - s["optimizer_seconds"] for s in run.steps] for run in runs])


def wire_dtypes(bytes_by_dtype: Mapping[str, int]) -> str:
    """The dtypes that carry more than a hundredth of the bytes, largest share first; "-" where nothing is sent."""
    total = sum(bytes_by_dtype.values())
    large = [name for name, size in sorted(bytes_by_dtype.items(), key=lambda item: -item[1]) if size * 100 > total]
    return "+".join(_SHORT.get(name, name) for name in large) or "-"
