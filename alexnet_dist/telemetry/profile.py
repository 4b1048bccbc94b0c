"""A trace of a few steps, for a trace viewer such as Perfetto or chrome://tracing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.profiler import ProfilerActivity, profile, schedule

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.run_files import TRACE, TRACE_TEMPORARY

SKIPPED = 2  # the first steps allocate, choose kernels and, under DDP, agree on buckets


@contextmanager
def traced_steps(
    steps: int | None, world: World, folder: Path, say: Callable[[str], None]
) -> Iterator[Callable[[], object]]:
    """Trace `steps` steps of the first rank, after the first two; other ranks, and `steps` None, trace nothing.

    Args:
        folder: the run's own; the trace goes there.
        say: gets a warning where the trace cannot be written.

    Yields:
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
        on_trace_ready=lambda done: _export(done, folder, say),
    ) as tracing:
        yield tracing.step


def _export(done: profile, folder: Path, say: Callable[[str], None]) -> None:
    """Write the trace; where it is incomplete, remove it and warn: torch does not report a full disk."""
    trace, half_written = folder / TRACE, folder / TRACE_TEMPORARY
    done.export_chrome_trace(str(trace))
    broken = [path for path in (half_written, trace) if path.exists() and (path == half_written or _is_cut(path))]
    for path in broken:
        path.unlink()
    if broken:
        say(f"warning: {trace} could not be written: is the disk full?")


def _is_cut(trace: Path) -> bool:
    with trace.open("rb") as file:
        file.seek(max(0, trace.stat().st_size - 3))
        return not file.read().rstrip().endswith(b"}")
