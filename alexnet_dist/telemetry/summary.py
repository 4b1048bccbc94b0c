"""The results of a whole run: the contents of summary.json."""

import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import torch

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory
from alexnet_dist.costs.operations import training_operations
from alexnet_dist.nets.table import Table
from alexnet_dist.telemetry.hardware import Hardware
from alexnet_dist.telemetry.peaks import model_flops_utilisation
from alexnet_dist.telemetry.step_record import OWN_SECONDS, StepRecord
from alexnet_dist.telemetry.stragglers import Straggler
from alexnet_dist.telemetry.throughput import images_per_second
from alexnet_dist.telemetry.versions import versions

WARM_UP_STEPS = 5
_SUMMED = ("samples", "seconds", "data_wait", "optimizer_seconds", *OWN_SECONDS)  # metrics
_TIMES = (
    "warm_up_steps",
    "images_per_second",
    "step_seconds",
    "own_seconds",
    "data_wait_fraction",
    "optimizer_fraction",
)


@dataclass
class EpochSums:
    """Training loss and accuracy over an epoch so far, each sample measured in the step that trained on it.

    Attributes:
        number: of the epoch, from 0.
    """

    number: int
    samples: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0

    def add(self, step: StepRecord) -> None:
        self.samples += step.samples
        self.loss_sum += step.loss * step.samples
        self.correct += step.top1 * step.samples

    @property
    def loss(self) -> float:
        return self.loss_sum / self.samples if self.samples else float("nan")

    @property
    def top1(self) -> float:
        return self.correct / self.samples if self.samples else float("nan")


def _added(sums: Mapping[str, float], step: StepRecord) -> dict[str, float]:
    """The sums of steps' metrics, by name, with one more step."""
    return {name: value + getattr(step, name) for name, value in sums.items()}


class RunMetrics:
    """Collects the steps of a run as they are reported.

    Args:
        world_size: ranks of the run.
        steps_per_epoch: of the run.

    Attributes:
        epoch: of the latest step, from its first.
        evaluation: the latest, metrics by name; None before the first.
        memory: what this rank held before the last update; None where it made none.
        stragglers: ranks that kept the others waiting.
    """

    def __init__(self, world_size: int, steps_per_epoch: int) -> None:
        self.world_size = world_size
        self.epoch = EpochSums(-1)
        self._steps_per_epoch = steps_per_epoch
        self._start = time.perf_counter()
        self.evaluation: Mapping[str, float] | None = None
        self.memory: Memory | None = None
        self.stragglers: list[Straggler] = []
        self._earlier_seconds = 0.0
        self._last_loss = float("nan")
        self._samples_seen = 0
        self._seconds = array("d")  # of every step
        self._first_steps: list[StepRecord] = []  # those that may be warm-up
        # Over the steps after these: a long run's records would take much memory.
        self._later = dict.fromkeys(_SUMMED, 0.0)
        self._traffic: dict[str, dict[str, int]] = {}
        self._dtypes: dict[str, int] = {}

    def add(self, window: Sequence[StepRecord]) -> None:
        """Add the steps of one window, in order."""
        for step in window:
            if len(self._first_steps) < WARM_UP_STEPS:
                self._first_steps.append(step)
            else:
                self._later = _added(self._later, step)
            if self.epoch.number != (number := (step.step - 1) // self._steps_per_epoch):
                self.epoch = EpochSums(number)
            self.epoch.add(step)
            self._seconds.append(step.seconds)
            self._samples_seen += step.samples
            self._last_loss = step.loss

    def resume(self, lines: Sequence[Mapping[str, Any]], finished: bool) -> None:
        """Add the steps that an earlier part of the run wrote to metrics.jsonl, if it ended on as many ranks.

        Args:
            finished: no step is left: the figures are those of the ranks that made the last one.
        """
        steps = [StepRecord.of_line(line) for line in lines]
        if finished and steps:
            self.world_size = steps[-1].ranks
        if steps and steps[-1].ranks == self.world_size:
            self.add([step for step in steps if step.ranks == self.world_size])
        self._earlier_seconds = sum(step.seconds for step in steps)

    def sent(self, counted: dict[str, int], expected: dict[str, int], dtypes: dict[str, int]) -> None:
        """Note the bytes that this rank sent in a step. The step that must send most is kept.

        Of equal ones the latest: in its first steps, DDP also communicates to agree on its gradient buckets.

        Args:
            counted, expected: by collective.
            dtypes: the counted ones by dtype.
        """
        if sum(expected.values()) >= sum(self._traffic.get("expected", {}).values()):
            self._traffic, self._dtypes = {"counted": counted, "expected": expected}, dtypes

    def figures(self) -> dict[str, Any]:
        """The figures of all steps. Fractions of time and throughput are None where no step was recorded."""
        return {
            "steps": len(self._seconds),
            "samples_seen": self._samples_seen,
            **(self._times() if self._seconds else dict.fromkeys(_TIMES)),
            "stragglers": [asdict(straggler) for straggler in self.stragglers],
            "comm_bytes_per_step": self._traffic,
            "comm_dtypes": self._dtypes,
            "train_loss": self._last_loss,
            "train_top1": self.epoch.top1,
            "total_seconds": self._earlier_seconds + time.perf_counter() - self._start,
        }

    def _times(self) -> dict[str, Any]:
        """Throughput and its spread, without the warm-up: the first steps, a quarter of a very short run."""
        warm_up = min(WARM_UP_STEPS, len(self._seconds) // 4)
        sums = reduce(_added, self._first_steps[warm_up:], self._later)
        seconds = torch.tensor(self._seconds[warm_up:], dtype=torch.float64)
        median, p5, p95 = (float(seconds.quantile(q)) for q in (0.5, 0.05, 0.95))
        values = (
            warm_up,
            images_per_second([int(sums["samples"])], [sums["seconds"]]),
            {"median": median, "p5": p5, "p95": p95},
            {name.removeprefix("own_"): sums[name] / len(seconds) for name in OWN_SECONDS},
            sums["data_wait"] / sums["seconds"],
            sums["optimizer_seconds"] / sums["seconds"],
        )
        return dict(zip(_TIMES, values, strict=True))


def summarise(
    experiment: Experiment,
    table: Table,
    mesh: Mapping[str, int],
    metrics: RunMetrics,
    hardware: Hardware,
    constant_traffic: int,
) -> dict[str, Any]:
    """The contents of summary.json.

    Args:
        experiment: resolved.
        table: of the whole net.
        mesh: ranks by axis.
        constant_traffic: bytes per rank and step that do not grow with the batch.
    """
    figures, precision = metrics.figures(), experiment.train.precision
    operations = (figures["images_per_second"] or float("nan")) * training_operations(table)
    return {
        "net": table.name,
        "strategy": experiment.strategy.name,
        "world_size": metrics.world_size,
        "mesh": dict(mesh),
        "precision": precision,
        "global_batch": experiment.train.global_batch,
        "parameters": table.parameters,
        **figures,
        "comm_bytes_constant": constant_traffic,
        "mfu": model_flops_utilisation(operations, hardware.device_names, precision),
        "eval": metrics.evaluation,
        **asdict(hardware),
        "versions": versions(),
    }


def model_memory(ranks: Sequence[Memory | None], expected: Memory, parameter_itemsize: int) -> dict[str, Any]:
    """The fullest rank's memory, next to what the layer table says, for the summary; nothing where no rank made a step.

    Args:
        ranks: what each held before the last update; None where a resumed run had no step left.
        expected: on the fullest rank.
        parameter_itemsize: bytes of a parameter.
    """
    held = max((held for held in ranks if held is not None), key=lambda held: held.total, default=None)
    if held is None:
        return {}
    return {
        "parameters_per_rank": held.parameters // parameter_itemsize,
        "model_memory_bytes": {"held": asdict(held), "expected": asdict(expected)},
    }
