"""Trains a few steps and keeps what parity is judged by: losses, the first step's gradients, the last weights.

Run under a launcher: `python -m alexnet_dist.training.probe CASES.json`, which lists flags and a file to write for each
case; all cases of one call share the ranks.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from alexnet_dist.config.experiment import Experiment, resolve
from alexnet_dist.config.sources import load
from alexnet_dist.layout.layout import World
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.ending import Ending, guarded
from alexnet_dist.training.run import bring_up
from alexnet_dist.training.setup import build, check
from alexnet_dist.training.step import training_step


@dataclass(frozen=True)
class Probe:
    """Attributes:
    losses: of every step.
    gradients: of the first step, whole, under one-device names.
    weights: after the last step, likewise.
    traffic: of the last step on rank 0, by collective: bytes "counted" and "expected".
    """

    losses: list[float]
    gradients: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    traffic: Mapping[str, Mapping[str, int]]

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @classmethod
    def read(cls, path: Path) -> "Probe":
        return cls(**torch.load(path, weights_only=True, mmap=True))


def probe(experiment: Experiment, steps: int, accelerator: Accelerator, world: World) -> Probe:
    """Train `steps` steps with the loop's own step. Collective; the result is whole on every rank."""
    setup = build(experiment, accelerator, world)
    meter, batches = Meter(setup.layout), setup.micro_batches(0, steps)
    gradients: dict[str, Tensor] = {}

    def keep_first() -> None:
        if not gradients:
            gradients.update({name: g.cpu().clone() for name, g in setup.strategy.gradients().items()})

    meter.start()
    for step in range(steps):
        traffic = training_step(setup, step, batches, meter, inspect=keep_first)
    losses = [record.loss for record in meter.flush()]
    weights = {name: weight.cpu() for name, weight in setup.strategy.weights().items()}
    return Probe(losses, gradients, weights, asdict(traffic))


def main(cases_file: str) -> int:
    """Probe every case of a file: a list of {"flags": […], "steps": n, "output": path}."""
    cases = json.loads(Path(cases_file).read_text())

    def all_cases(_: Ending) -> None:
        experiment, accelerator, world = bring_up(load(cases[0]["flags"]))
        for case in cases:
            experiment = resolve(load(case["flags"]), world.size)
            check(experiment, world.size)
            result = probe(experiment, case["steps"], accelerator, world)
            accelerator.free_memory()
            if world.rank == 0:
                result.save(Path(case["output"]))

    return guarded(all_cases, Ending())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
