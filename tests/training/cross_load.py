"""Started on ranks by test_resume.py: takes up several checkpoints in turn, evaluates each and goes on from it.

python cross_load.py OUTPUT STEPS CHECKPOINT[,CHECKPOINT…] FLAGS…
"""

import json
import sys
from pathlib import Path

from alexnet_dist.config.experiment import resolve
from alexnet_dist.config.sources import load
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.checkpoints.files import verify
from alexnet_dist.training.checkpoints.reader import read_into
from alexnet_dist.training.evaluate import evaluate
from alexnet_dist.training.run import bring_up
from alexnet_dist.training.setup import build
from alexnet_dist.training.step import training_step


def main(output: Path, steps: int, checkpoints: list[str], flags: list[str]) -> None:
    experiment, accelerator, world = bring_up(load(flags))
    experiment = resolve(experiment, world.size)
    told = {}
    for checkpoint in checkpoints:
        start = verify(Path(checkpoint)).step
        setup = build(experiment, accelerator, world)
        read_into(Path(checkpoint), state := setup.strategy.state(), world)
        setup.strategy.load_state(state)
        evaluation = evaluate(setup)
        meter, batches = Meter(setup.layout), setup.micro_batches(start, start + steps)
        meter.start()
        for step in range(start, start + steps):
            training_step(setup, step, batches, meter)
        assert evaluation is not None
        told[checkpoint] = {"loss": evaluation.loss, "losses": [record.loss for record in meter.flush()]}
        accelerator.free_memory()
    if world.rank == 0:
        output.write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), sys.argv[4:])
