"""The lines of the check, in order. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """Attributes:
    name: as in the report.
    about: what is tried, and what is expected.
    limit: seconds until it counts as failed.
    function: dotted path; it takes a `Setup` and returns figures by name.
    """

    name: str
    about: str
    limit: float
    function: str


_DEVICE, _STEPS, _RANKS = (f"alexnet_dist.gpu_check.{name}" for name in ("on_device", "on_steps", "on_ranks"))
LINES = (
    Line("machine", "versions and devices", 30, f"{_DEVICE}:machine"),
    Line("arithmetic", "norm, pixels, masks and loss scale as on a CPU", 60, f"{_DEVICE}:arithmetic"),
    Line("precisions", "a few steps in each precision", 30, f"{_DEVICE}:precisions"),
    Line("no waiting", "no step waits for the device", 15, f"{_DEVICE}:no_waiting"),
    Line("speed", "alexnet_2012 in bf16 by batch, with and without norm", 45, f"{_STEPS}:speed"),
    Line("kernels", "where a step's time goes", 20, f"{_STEPS}:kernels"),
    Line("convolutions", "grouped, and as two dense halves", 10, f"{_STEPS}:convolutions"),
    Line("checkpoint", "pinned copies block training for less time", 15, f"{_DEVICE}:checkpoint"),
    Line("training", "a run, its evaluation, and the run resumed", 70, f"{_RANKS}:training"),
    Line("two ranks, gloo", "fp32 gradients within 1e-5 of one process", 90, f"{_RANKS}:over_gloo"),
    Line("two ranks, NCCL", "the same; may be impossible on one GPU", 45, f"{_RANKS}:over_nccl"),
    Line("stopped rank", "the run ends and names the rank", 45, f"{_RANKS}:stopped_rank"),
)
