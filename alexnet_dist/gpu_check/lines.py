"""The lines of the check, in order: what is least known first, since it may be cut short. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One thing that the check tries.

    Attributes:
        name: as in the report.
        about: what is tried, and what is expected.
        limit: seconds until it counts as failed.
        function: dotted path; it takes a `Setup` and yields figures, each with its name.
    """

    name: str
    about: str
    limit: float
    function: str


_DEVICE, _STEPS, _RANKS = (f"alexnet_dist.gpu_check.{name}" for name in ("on_device", "on_steps", "on_ranks"))
LINES = (
    Line("machine", "versions and devices", 30, f"{_DEVICE}:machine"),
    Line("step", "a step at batch 128: host, device and data apart", 45, f"{_STEPS}:step"),
    Line("norm", "the norm's kernels against their formula", 60, "alexnet_dist.gpu_check.norm:norm"),
    Line("convolutions", "each, in two memory formats, grouped and not", 20, f"{_STEPS}:convolutions"),
    Line("speed", "alexnet_2012 by batch, with and without norm", 45, f"{_STEPS}:speed"),
    Line("arithmetic", "pixels, masks and loss scale as on a CPU", 15, f"{_DEVICE}:arithmetic"),
    Line("no waiting", "no step waits for the device", 15, f"{_DEVICE}:no_waiting"),
    Line("checkpoint", "pinned copies block training for less time", 15, f"{_DEVICE}:checkpoint"),
    Line("two ranks, gloo", "fp32 gradients within 1e-5 of one process", 80, f"{_RANKS}:over_gloo"),
    Line("training", "a run, its evaluation, and the run resumed", 65, f"{_RANKS}:training"),
    Line("stopped rank", "the run ends and names the rank", 75, f"{_RANKS}:stopped_rank"),
    Line("precisions", "a few steps in each precision", 40, f"{_DEVICE}:precisions"),
    Line("compiled", "the same step with train.compile", 60, f"{_STEPS}:compiled"),
    Line("two ranks, NCCL", "as over gloo; may be impossible on one GPU", 40, f"{_RANKS}:over_nccl"),
)
