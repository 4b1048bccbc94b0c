"""Trains a few steps of several experiments and traces them.

Run under a launcher: `python -m alexnet_dist.parity.worker REQUESTS.json`. The file lists, for each experiment, its
flags, the steps to train, the file to write, and the trace to compare with, if any; all of them share the ranks.
"""

import gc
import json
import sys
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from alexnet_dist.config.load import load
from alexnet_dist.config.schema import Experiment
from alexnet_dist.distributed.bring_up import shut_down
from alexnet_dist.distributed.mesh import World
from alexnet_dist.launcher.exit_status import ExitStatus, exit_code_of
from alexnet_dist.parity.trace import TrainingTrace, differences
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.step import training_step
from alexnet_dist.training.wiring import build, init_ranks


def trace_training(experiment: Experiment, steps: int, accelerator: Accelerator, world: World) -> TrainingTrace:
    """Train `steps` steps with the training loop's own step. Collective; every rank gets the whole trace."""
    components = build(experiment, accelerator, world)
    meter, batches = Meter(world, components.engine.samples.reporting_ranks), components.micro_batches(0, steps)
    gradients: dict[str, Tensor] = {}

    def keep_first() -> None:
        if not gradients:
            gradients.update({name: g.cpu().clone() for name, g in components.engine.gradients().items()})

    meter.start()
    for step in range(steps):
        traffic = training_step(components, step, batches, meter, inspect=keep_first)
    losses = [record.loss for record in meter.flush()]
    weights = {name: weight.cpu() for name, weight in components.engine.weights().items()}
    return TrainingTrace(losses, gradients, weights, asdict(traffic))


def main(requests_file: str) -> int:
    """Serve every request: a list of {"flags": […], "steps": n, "output": path, "reference": path or null}."""
    requests = json.loads(Path(requests_file).read_text())

    def serve_all(_: ExitStatus) -> None:
        for request in requests:
            experiment, accelerator, world = init_ranks(load(request["flags"]))
            gc.freeze()  # `shut_down` collects garbage after each request: exclude older objects
            trace = trace_training(experiment, request["steps"], accelerator, world)
            shut_down(accelerator)
            if world.rank == 0:
                _write(trace, Path(request["output"]), request["reference"])

    return exit_code_of(serve_all, ExitStatus())


def _write(trace: TrainingTrace, output: Path, reference: str | None) -> None:
    if reference is None:
        trace.save(output)
    else:
        # Compared here, where the tensors are in memory: a large net's take a gigabyte on disk.
        output.write_text(json.dumps(asdict(differences(trace, TrainingTrace.read(Path(reference))))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
