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


_DEVICE, _RANKS = "alexnet_dist.gpu_check.on_device", "alexnet_dist.gpu_check.on_ranks"
LINES = (
    Line("machine", "versions and devices", 30, f"{_DEVICE}:machine"),
    Line("arithmetic", "norm, pixels, masks and loss scale as on a CPU", 50, f"{_DEVICE}:arithmetic"),
    Line("training", "one process in each precision; evaluate; resume", 99, f"{_RANKS}:training"),
    Line("no waiting", "no step waits for the device", 20, f"{_DEVICE}:no_waiting"),
    Line("speed", "alexnet_2012 in bf16 by batch, with and without norm", 80, f"{_DEVICE}:speed"),
    Line("checkpoint", "pinned copies hold training up for less", 20, f"{_DEVICE}:checkpoint"),
    Line("two ranks, gloo", "fp32 gradients within 1e-5 of one process", 80, f"{_RANKS}:over_gloo"),
    Line("two ranks, NCCL", "the same; may be impossible on one GPU", 50, f"{_RANKS}:over_nccl"),
    Line("stopped rank", "the run ends and names the rank", 50, f"{_RANKS}:stopped_rank"),
)
