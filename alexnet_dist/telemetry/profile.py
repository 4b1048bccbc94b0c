"""A trace of a few steps, for a trace viewer such as Perfetto or chrome://tracing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.profiler import ProfilerActivity, profile, schedule

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.run_files import TRACE

SKIPPED = 2  # the first steps allocate, choose kernels and, under DDP, agree on buckets


@contextmanager
def traced_steps(steps: int | None, world: World, folder: Path) -> Iterator[Callable[[], object]]:
    """Trace `steps` steps of the first rank, after the first two; nothing where `steps` is None.

    Args:
        folder: the run's own; the trace goes there.

    Returns:
        A function to call after every step.
    """
    if steps is None or world.rank != 0:
        yield lambda: None
        return
    activities = [ProfilerActivity.CPU]
    if world.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    else:
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it prints "ERROR" since there is no GPU
    with profile(
        activities=activities,
        record_shapes=True,
        schedule=schedule(wait=SKIPPED - 1, warmup=1, active=steps, repeat=1),
        on_trace_ready=lambda done: done.export_chrome_trace(str(folder / TRACE)),
    ) as tracing:
        yield tracing.step
