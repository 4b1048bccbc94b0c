"""Started on ranks by test_cross_loading.py: strategies take up each other's checkpoints and go on.

    python cross_loading.py FOLDER SAVERS LOADERS SOURCES FLAGS…

Each saver trains two steps, evaluates and writes a checkpoint; each loader then takes up every source that is in the
folder, evaluates, and trains the third and fourth. Rank 0 prints, for each, how far its state lies from what was saved,
how far its loss on the test images, and how far its state at the end from the reference: the one process that was never
interrupted, which the saver called `single` writes.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from alexnet_dist.config.experiment import CheckpointConfig
from alexnet_dist.config.sources import load
from alexnet_dist.layout.layout import World
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.checkpoints import files
from alexnet_dist.training.checkpoints.reader import read_into
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.evaluate import evaluate
from alexnet_dist.training.probe import difference
from alexnet_dist.training.run import bring_up
from alexnet_dist.training.setup import Setup, build
from alexnet_dist.training.start import stop
from alexnet_dist.training.step import training_step


def train(setup: Setup, start: int, end: int) -> None:
    meter, batches = Meter(setup.layout), setup.micro_batches(start, end)
    meter.start()
    for step in range(start, end):
        training_step(setup, step, batches, meter)
    meter.flush()


def whole(setup: Setup) -> dict[str, Tensor]:
    """The state, whole and apart from the live one, on every rank."""
    state = setup.strategy.state().items()
    return {name: (v.full_tensor() if isinstance(v, DTensor) else v).cpu().clone() for name, v in state}


def loss(setup: Setup) -> float:
    """On the test images."""
    evaluation = evaluate(setup)
    assert evaluation is not None
    return evaluation.loss


def write(setup: Setup, world: World, folder: Path) -> None:
    facts = {"experiment": {}, "world_size": world.size, "mesh": {}, "versions": {}}
    writer = CheckpointWriter(world, folder, CheckpointConfig(background=False), print)
    writer.save(setup.strategy.state(), 2, facts)
    assert writer.wait() is None


def worst(ours: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    assert ours.keys() == reference.keys(), set(ours) ^ set(reference)
    return max(difference(ours[name], value) for name, value in reference.items())


def main(folder: Path, savers: list[str], loaders: list[str], sources: list[str], flags: list[str]) -> None:
    for saver in savers:
        experiment, accelerator, world = bring_up(load([*flags, "--strategy.name", saver]))
        setup = build(experiment, accelerator, world)
        train(setup, 0, 2)
        write(setup, world, folder / saver)
        saved = {"state": whole(setup), "loss": loss(setup)}
        if world.rank == 0:
            torch.save(saved, folder / f"{saver}.saved")
        if saver == "single":
            train(setup, 2, 4)
            torch.save(whole(setup), folder / "reference")
        stop(accelerator)
    reference = torch.load(folder / "reference")
    for loader in loaders:
        for source in sources:
            experiment, accelerator, world = bring_up(load([*flags, "--strategy.name", loader]))
            setup = build(experiment, accelerator, world)
            state = setup.strategy.state()
            read_into(folder / source / files.named(2), state, world)
            setup.strategy.load_state(state)
            saved = torch.load(folder / f"{source}.saved")
            loaded, evaluated = worst(whole(setup), saved["state"]), abs(loss(setup) / saved["loss"] - 1)
            train(setup, 2, 4)
            final = worst(whole(setup), reference)
            if world.rank == 0:
                print("CROSSED " + json.dumps([source, loader, loaded, evaluated, final]), flush=True)
            stop(accelerator)


if __name__ == "__main__":
    folder, savers, loaders, sources, *flags = sys.argv[1:]
    names = ([name for name in names.split(",") if name] for names in (savers, loaders, sources))
    main(Path(folder), *names, flags)
