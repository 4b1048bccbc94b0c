"""Trains a few steps and keeps what parity is judged by: losses, the first step's gradients, the last weights.

Run under a launcher: `python -m alexnet_dist.parity.worker CASES.json`. The file lists, for each case, its flags,
its steps, a file to write, and where there is one the probe to compare with; all cases of a call share the ranks.
"""

import gc
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from alexnet_dist.config.load import load
from alexnet_dist.config.schema import Experiment
from alexnet_dist.distributed.init import stop
from alexnet_dist.distributed.mesh import World
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.step import training_step
from alexnet_dist.training.train import init_ranks
from alexnet_dist.training.wiring import build


@dataclass(frozen=True)
class TrainingTrace:
    """Attributes:
    losses: of every step.
    gradients: of the first step, whole, under one-device names.
    weights: after the last step, likewise.
    traffic: of the last step on rank 0, by collective: bytes "counted" and "expected"; by dtype: "dtypes".
    """

    losses: list[float]
    gradients: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    traffic: Mapping[str, Mapping[str, int]]

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @classmethod
    def read(cls, path: Path) -> "TrainingTrace":
        return cls(**torch.load(path, weights_only=True, mmap=True))


def probe(experiment: Experiment, steps: int, accelerator: Accelerator, world: World) -> TrainingTrace:
    """Train `steps` steps with the loop's own step. Collective; the result is whole on every rank."""
    components = build(experiment, accelerator, world)
    meter, batches = Meter(components.layout), components.micro_batches(0, steps)
    gradients: dict[str, Tensor] = {}

    def keep_first() -> None:
        if not gradients:
            gradients.update({name: g.cpu().clone() for name, g in components.strategy.gradients().items()})

    meter.start()
    for step in range(steps):
        traffic = training_step(components, step, batches, meter, inspect=keep_first)
    losses = [record.loss for record in meter.flush()]
    weights = {name: weight.cpu() for name, weight in components.strategy.weights().items()}
    return TrainingTrace(losses, gradients, weights, asdict(traffic))


@dataclass(frozen=True)
class Comparison:
    """How far one probe lies from another, as ||a - b|| / ||b|| by step or tensor name.

    Attributes:
        differences: by kind ("loss", "gradient", "weight"), by name.
        traffic: as in the first probe.
    """

    differences: Mapping[str, Mapping[str, float]]
    traffic: Mapping[str, Mapping[str, int]]


def compare(ours: TrainingTrace, reference: TrainingTrace) -> Comparison:
    """Hold one probe against another, tensor by tensor.

    Raises:
        RuntimeError: a gradient of the reference is zero, so that nothing would be compared.
    """
    still = [name for name, gradient in reference.gradients.items() if not bool(gradient.any())]
    if still:
        raise RuntimeError(f"the first step's gradient of {still[0]} is zero")
    losses = enumerate(zip(ours.losses, reference.losses, strict=True), start=1)
    differences = {
        "loss": {f"step {step}": abs(a - b) / abs(b) for step, (a, b) in losses},
        "gradient": {name: difference(ours.gradients[name], b) for name, b in reference.gradients.items()},
        "weight": {name: difference(ours.weights[name], b) for name, b in reference.weights.items()},
    }
    return Comparison(differences, ours.traffic)


def difference(ours: Tensor, reference: Tensor) -> float:
    """||ours - reference|| / ||reference||, in fp64; absolute where the reference is zero."""
    norm = float(reference.double().norm())
    return float((ours.double() - reference.double()).norm()) / (norm or 1.0)


def main(cases_file: str) -> int:
    """Probe every case of a file: a list of {"flags": […], "steps": n, "output": path, "reference": path or null}."""
    cases = json.loads(Path(cases_file).read_text())

    def all_cases(_: ExitStatus) -> None:
        for case in cases:
            experiment, accelerator, world = init_ranks(load(case["flags"]))
            gc.freeze()  # `stop` collects after each case: let it not look at all that was there before
            result = probe(experiment, case["steps"], accelerator, world)
            stop(accelerator)
            if world.rank == 0:
                _write(result, Path(case["output"]), case["reference"])

    return exit_code_of(all_cases, ExitStatus())


def _write(result: TrainingTrace, output: Path, reference: str | None) -> None:
    if reference is None:
        result.save(output)
    else:
        # Compared here, where the tensors are: a large net's would be a gigabyte to write and read.
        output.write_text(json.dumps(asdict(compare(result, TrainingTrace.read(Path(reference))))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
