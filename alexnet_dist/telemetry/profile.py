"""A trace of a few steps, for a trace viewer such as Perfetto or chrome://tracing."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.profiler import ProfilerActivity, profile, schedule

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.run_files import TRACE

SKIPPED = 2  # the first steps allocate, choose kernels and, under DDP, agree on buckets


class StepProfile:
    """Traces `steps` steps of the first rank, after the first two; does nothing where `steps` is None.

    Args:
        steps: how many to trace.
        world: the ranks.
        folder: the run's own; the trace goes there.
    """

    def __init__(self, steps: int | None, world: World, folder: Path) -> None:
        self._profile: profile | None = None
        self._context: AbstractContextManager[object] = nullcontext()
        if steps is not None and world.rank == 0:
            cuda = [ProfilerActivity.CUDA] if world.device.type == "cuda" else []
            if not cuda:
                os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it prints "ERROR" since there is no GPU
            self._context = self._profile = profile(
                activities=[ProfilerActivity.CPU, *cuda],
                record_shapes=True,
                schedule=schedule(wait=SKIPPED - 1, warmup=1, active=steps, repeat=1),
                on_trace_ready=lambda done: done.export_chrome_trace(str(folder / TRACE)),
            )

    def __enter__(self) -> Self:
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, value, trace)

    def step(self) -> None:
        """Call after every step."""
        if self._profile is not None:
            self._profile.step()
