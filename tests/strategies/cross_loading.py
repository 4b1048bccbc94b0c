"""Started on ranks by test_cross_loading.py: strategies resume from each other's checkpoints.

    python cross_loading.py FOLDER SAVERS LOADERS SOURCES FLAGS…

Each saver trains two steps, evaluates and writes a checkpoint; each loader then resumes from every source that is in
the folder, evaluates, and trains two more steps. Rank 0 prints, for each pair, how far the loaded state and its loss on
the test images are from the saved ones, and how far the final state is from the reference: that of one process which
was never interrupted (the saver `single` writes it).
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from alexnet_dist.config.load import load
from alexnet_dist.config.schema import CheckpointConfig
from alexnet_dist.distributed.bring_up import shut_down
from alexnet_dist.distributed.mesh import World
from alexnet_dist.parity.trace import relative_difference
from alexnet_dist.rng import GENERATOR
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.checkpoints import files
from alexnet_dist.training.checkpoints.reader import read_into
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.evaluate import evaluate
from alexnet_dist.training.step import training_step
from alexnet_dist.training.wiring import Components, build, init_ranks


def train(components: Components, start: int, end: int) -> None:
    meter = Meter(components.world, components.engine.samples.reporting_ranks)
    batches = components.micro_batches(start, end)
    meter.start()
    for step in range(start, end):
        training_step(components, step, batches, meter)
    meter.flush()


def whole(components: Components) -> dict[str, Tensor]:
    """The state, whole and apart from the live one, on every rank."""
    state = components.engine.state().items()
    return {name: (v.full_tensor() if isinstance(v, DTensor) else v).cpu().clone() for name, v in state}


def loss(components: Components) -> float:
    """On the test images."""
    evaluation = evaluate(components)
    assert evaluation is not None
    return evaluation.loss


def write(components: Components, world: World, folder: Path) -> None:
    facts = {"experiment": {}, "world_size": world.size, "mesh": {}, "versions": {}, "generator": GENERATOR}
    writer = CheckpointWriter(world, folder, CheckpointConfig(background=False), print)
    writer.save(components.engine.state(), 2, facts)
    assert writer.missing() is None


def worst(ours: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    assert ours.keys() == reference.keys(), set(ours) ^ set(reference)
    return max(relative_difference(ours[name], value) for name, value in reference.items())


def main(folder: Path, savers: list[str], loaders: list[str], sources: list[str], flags: list[str]) -> None:
    for saver in savers:
        experiment, accelerator, world = init_ranks(load([*flags, "--strategy.name", saver]))
        components = build(experiment, accelerator, world)
        train(components, 0, 2)
        write(components, world, folder / saver)
        saved = {"state": whole(components), "loss": loss(components)}
        if world.rank == 0:
            torch.save(saved, folder / f"{saver}.saved")
        if saver == "single":
            train(components, 2, 4)
            torch.save(whole(components), folder / "reference")
        shut_down(accelerator)
    reference = torch.load(folder / "reference")
    for loader in loaders:
        for source in sources:
            experiment, accelerator, world = init_ranks(load([*flags, "--strategy.name", loader]))
            components = build(experiment, accelerator, world)
            state = components.engine.state()
            read_into(folder / source / files.directory_name(2), state, world)
            components.engine.load_state(state)
            saved = torch.load(folder / f"{source}.saved")
            loaded, evaluated = worst(whole(components), saved["state"]), abs(loss(components) / saved["loss"] - 1)
            train(components, 2, 4)
            final = worst(whole(components), reference)
            if world.rank == 0:
                print("CROSSED " + json.dumps([source, loader, loaded, evaluated, final]), flush=True)
            shut_down(accelerator)


if __name__ == "__main__":
    folder, *lists = sys.argv[1:5]
    savers, loaders, sources = ([name for name in names.split(",") if name] for names in lists)
    main(Path(folder), savers, loaders, sources, sys.argv[5:])
