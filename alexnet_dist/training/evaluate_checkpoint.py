"""`alexnet-dist evaluate`: accuracy of a checkpoint on the test images, in one process or on ranks."""

from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.config.load import read_flags, validate
from alexnet_dist.training.checkpoints import reader
from alexnet_dist.training.evaluate import evaluate
from alexnet_dist.training.wiring import build, init_ranks

# How the checkpoint was trained says nothing about how it is to be evaluated.
_LEFT_OUT = ("strategy", "checkpoint", "tracking", "run")


def evaluate_checkpoint(checkpoint: Path, flags: Sequence[str]) -> None:
    """Evaluate, and print one line on rank 0. Collective.

    Args:
        checkpoint: or the folder of the run that has it.
        flags: dotted ones, which win over the checkpoint's own experiment.

    Raises:
        UsageError: no whole checkpoint is there, or a flag makes it another net.
    """
    path, manifest = reader.first_undamaged(reader.find(checkpoint), print)
    values = {group: dict(fields) for group, fields in manifest.experiment.items() if group not in _LEFT_OUT}
    values["run"] = {"seed": manifest.experiment["run"]["seed"]}
    for group, fields in read_flags(list(flags))[1].items():
        values[group] = {**values.get(group, {}), **fields}
    experiment, accelerator, world = init_ranks(validate(values))
    reader.check_same(manifest, experiment)
    components = build(experiment, accelerator, world)
    reader.read_into(path, state := components.engine.state(), world)
    components.engine.load_state(state)
    evaluation = evaluate(components)
    if world.rank == 0:
        print(f"step {manifest.step}: {evaluation}", flush=True)
