"""A trace of a few steps, to be opened in a browser's trace viewer (Perfetto, chrome://tracing)."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType

from torch.profiler import ProfilerActivity, profile, schedule

from alexnet_dist.distributed.mesh import World

SKIPPED = 2  # the first steps allocate, choose kernels and, under DDP, agree on buckets


class StepProfile:
    """Profiles `steps` steps of one rank, after the first two; does nothing where `steps` is None.

    Args:
        steps: to trace.
        world: only its first rank traces.
        folder: where `trace.json` is written.
    """

    def __init__(self, steps: int | None, world: World, folder: Path) -> None:
        self._profile: profile | None = None
        self._context: AbstractContextManager[object] = nullcontext()
        if steps is not None and world.rank == 0:
            cuda = [ProfilerActivity.CUDA] if world.device.type == "cuda" else []
            self._context = self._profile = profile(
                activities=[ProfilerActivity.CPU, *cuda],
                record_shapes=True,
                schedule=schedule(wait=SKIPPED - 1, warmup=1, active=steps, repeat=1),
                on_trace_ready=lambda done: done.export_chrome_trace(str(folder / "trace.json")),
            )

    def __enter__(self) -> "StepProfile":
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, value, trace)

    def step(self) -> None:
        """A step is over."""
        if self._profile is not None:
            self._profile.step()
