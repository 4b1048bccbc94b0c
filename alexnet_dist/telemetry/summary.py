"""What a whole run comes to: the figures of summary.json."""

import platform
import resource
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import torch

from alexnet_dist.costs.memory import Memory
from alexnet_dist.distributed.agreement import gather_objects
from alexnet_dist.distributed.mesh import Layout, World
from alexnet_dist.telemetry.meters import StepRecord

WARM_UP_STEPS = 5
PACKAGES = ("torch", "torchvision", "accelerate", "wandb")


class RunMetrics:
    """Gathers steps as they are reported.

    Args:
        layout: this rank's place.

    Attributes:
        evaluation: the latest.
        memory: what this rank held before the last update.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.samples_seen = 0
        self.last_loss = float("nan")
        self.evaluation: Any = None
        self.memory: Memory | None = None
        self._seconds: list[float] = []
        self._rank_seconds: list[tuple[float, ...]] = []
        self._waits: list[float] = []
        self._samples: list[int] = []
        self._optimizer: list[float] = []
        self._traffic: dict[str, dict[str, int]] = {}
        self._dtypes: dict[str, int] = {}

    def add(self, window: list[StepRecord]) -> None:
        """Steps of one window, in order."""
        for record in window:
            self._seconds.append(record.seconds)
            self._rank_seconds.append(record.rank_seconds)
            self._waits.append(record.data_wait)
            self._optimizer.append(record.optimizer_seconds)
            self._samples.append(record.samples)
        self.samples_seen += sum(record.samples for record in window)
        self.last_loss = window[-1].loss

    def take_up(self, lines: list[dict[str, Any]]) -> None:
        """Steps that an earlier part of the run wrote to metrics.jsonl, if it ran on as many ranks."""
        names = {field.name for field in fields(StepRecord)}
        records = [StepRecord(**{name: value for name, value in line.items() if name in names}) for line in lines]
        if records and len(records[-1].rank_seconds) == self.layout.world.size:
            self.add([record for record in records if len(record.rank_seconds) == self.layout.world.size])

    def sent(self, counted: dict[str, int], expected: dict[str, int], dtypes: dict[str, int]) -> None:
        """Bytes of a step on this rank; kept for the fullest step, the latest of equals.

        Not the first: DDP's first steps also agree on their buckets.

        Args:
            counted, expected: by collective.
            dtypes: the counted ones by dtype.
        """
        if sum(expected.values()) >= sum(self._traffic.get("expected", {}).values()):
            self._traffic, self._dtypes = {"counted": counted, "expected": expected}, dtypes

    @property
    def steps(self) -> int:
        return len(self._seconds)

    def figures(self) -> dict[str, Any]:
        """Throughput and its spread, warm-up left out: the first steps, a quarter of a very short run."""
        warm_up = min(WARM_UP_STEPS, self.steps // 4)
        seconds = torch.tensor(self._seconds[warm_up:], dtype=torch.float64)
        median, p5, p95 = (float(seconds.quantile(q)) for q in (0.5, 0.05, 0.95))
        # The slowest rank's whole time: not the sum of each step's slowest, which would be longer.
        total = max(sum(rank) for rank in zip(*self._rank_seconds[warm_up:], strict=True))
        return {
            "steps": self.steps,
            "samples_seen": self.samples_seen,
            "warm_up_steps": warm_up,
            "images_per_second": sum(self._samples[warm_up:]) / total,
            "step_seconds": {"median": median, "p5": p5, "p95": p95},
            "data_wait_fraction": sum(self._waits[warm_up:]) / total,
            "optimizer_fraction": sum(self._optimizer[warm_up:]) / total,
            "comm_bytes_per_step": self._traffic,
            "comm_dtypes": self._dtypes,
            "train_loss": self.last_loss,
        }


def machine(world: World) -> dict[str, Any]:
    """Devices, versions, and the peak memory of every rank. Collective."""
    if world.device.type == "cuda":
        name, peak = torch.cuda.get_device_name(world.device), torch.cuda.max_memory_allocated(world.device)
    else:
        name, peak = cpu_name(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    ranks = gather_objects(world, (name, peak, platform.node()))
    return {
        "device_type": world.device.type,
        "device_names": [name for name, _, _ in ranks],
        "peak_memory_bytes": [peak for _, peak, _ in ranks],
        "hosts": [host for _, _, host in ranks],
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages that a run's figures depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def cpu_name() -> str:
    """As the kernel tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.machine()
