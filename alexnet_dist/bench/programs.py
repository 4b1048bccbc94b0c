"""The kinds of programs that a benchmark measures, each started as a user would, in processes of its own."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.launcher.launch_line import TRAIN
from alexnet_dist.launcher.processes import launch
from alexnet_dist.telemetry.run_files import read_metrics
from alexnet_dist.telemetry.throughput import images_per_second

WARM_UP = 4  # steps that are not measured: among other things they take memory from the kernel
MOST_IMAGES = 8192  # synthetic ones, which a GPU holds twice: 2.5 GB of alexnet_2012's


@dataclass(frozen=True)
class Settings:
    """What all programs of a benchmark share.

    Attributes:
        steps: measured, after `WARM_UP`.
        batch: global.
        precision: a value of `train.precision`.
    """

    steps: int
    batch: int
    precision: str


class Program(ABC):
    """Something with a rate.

    Attributes:
        ranks: that it starts.
    """

    ranks: int

    @abstractmethod
    def rate(self, settings: Settings, folder: Path) -> float:
        """Run it once.

        Args:
            folder: for its files.

        Returns:
            Images per second over all ranks; of `MatrixRate`, operations per second.

        Raises:
            RunFailed: with the ranks' own reason.
        """


@dataclass(frozen=True)
class TrainingRun(Program):
    """A training run of this program."""

    ranks: int
    flags: tuple[str, ...]

    def rate(self, settings: Settings, folder: Path) -> float:
        run_folder = folder / "run"
        launch(self.ranks, [*TRAIN, *self.words(settings, run_folder)])
        measured = read_metrics(run_folder)[WARM_UP:]
        return images_per_second([step["samples"] for step in measured], [step["seconds"] for step in measured])

    def words(self, settings: Settings, run_folder: Path) -> list[str]:
        """All flags of the run."""
        steps = settings.steps + WARM_UP
        per_epoch = min(steps, max(1, MOST_IMAGES // settings.batch))
        synthetic = {"--data.samples": settings.batch * per_epoch, "--train.epochs": -(-steps // per_epoch)}
        shared = {
            "--train.global_batch": settings.batch,
            "--train.max_steps": steps,
            "--train.precision": settings.precision,
            "--train.evaluate": "false",
            "--tracking.with": "[]",
            "--tracking.log_every": steps,
            "--run.dir": run_folder,
            "--run.overwrite": "true",
            "--checkpoint.every_steps": 0,
            **(synthetic if "synthetic" in self.flags else {}),
        }
        return [*(str(word) for pair in shared.items() for word in pair), *self.flags]


@dataclass(frozen=True)
class Baseline(Program):
    """A program of `bench.baselines`."""

    name: str
    ranks: int = 1

    def rate(self, settings: Settings, folder: Path) -> float:
        numbers = ["--batch", str(settings.batch), "--steps", str(settings.steps), "--precision", settings.precision]
        return _written_rate(self.ranks, ["-m", "alexnet_dist.bench.baselines", self.name, *numbers], folder)


@dataclass(frozen=True)
class MatrixRate(Program):
    """The machine's rate of matrix products."""

    ranks = 1

    def rate(self, settings: Settings, folder: Path) -> float:
        program = ["-m", "alexnet_dist.telemetry.matrix_rate", "--precision", settings.precision]
        return _written_rate(1, program, folder)


def _written_rate(ranks: int, program: list[str], folder: Path) -> float:
    """The rate that a program writes to --output."""
    output = folder / "rate.json"
    launch(ranks, [*program, "--output", str(output)])
    return float(json.loads(output.read_text())["rate"])
