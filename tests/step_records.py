"""Records of steps of which a test states only what it is about."""

from typing import Any

from alexnet_dist.telemetry.step_record import StepRecord

USUAL: dict[str, Any] = {
    "step": 1, "loss": 1.0, "samples": 8, "seconds": 1.0, "ranks": 1, "own_slowest": 0.5, "own_median": 0.5,
    "own_fastest": 0.5, "slowest_rank": 0, "top1": 0.5, "sample_fingerprint": 0, "data_wait": 0.1,
    "optimizer_seconds": 0.1, "sent_bytes": 0, "lr": 0.1, "norm": None, "skipped": False,
}  # fmt: skip


def step_record(**fields: Any) -> StepRecord:
    return StepRecord(**{**USUAL, **fields})
