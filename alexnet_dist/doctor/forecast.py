"""An experiment on ranks that do not exist here: what training would refuse, and what a rank would hold."""

import os

from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.layers import layer_rows, totals
from alexnet_dist.costs.units import counted, shared_batch
from alexnet_dist.distributed.launched_rank import cpu_wanted
from alexnet_dist.doctor.findings import Findings, experiment_findings
from alexnet_dist.errors import DONE, USAGE, UsageError
from alexnet_dist.strategies.base import strategy_of

NOT_CHECKED = "the ranks' devices, data, run directory and links: run the doctor on them, too"


def forecast(experiment: Experiment, ranks: int) -> int:
    """Check an experiment for a number of ranks without starting any, and print the costs.

    Args:
        experiment: unresolved.

    Returns:
        DONE, or USAGE where training would refuse it; each reason is one line.

    Raises:
        UsageError: fields contradict each other.
    """
    experiment = resolve(experiment, ranks)
    found = experiment_findings(experiment, ranks)
    devices = _devices(experiment, found)
    if not found.problems:
        _print_figures(experiment, ranks, devices)
    found.show()
    if not found.problems:
        print(f"possible on {ranks} ranks; not checked: {NOT_CHECKED}")
    return USAGE if found.problems else DONE


def _devices(experiment: Experiment, found: Findings) -> str:
    """What is assumed about the devices; where they are CPUs, the precision is checked."""
    import torch  # takes seconds; a mistake in a field is reported before

    precision = precision_of(experiment)
    cpu = torch.device("cpu")
    if cpu_wanted(os.environ):
        found.ask(lambda: precision.check(cpu))
        return "CPUs, as ACCELERATE_USE_CPU says"
    try:
        precision.check(cpu)
    except UsageError:
        return f"GPUs that have {precision.name}, one a rank"
    return "all alike, one a rank"


def _print_figures(experiment: Experiment, ranks: int, devices: str) -> None:
    strategy = strategy_of(experiment)
    train, shards = experiment.train, strategy.sample_shards(ranks)
    samples = train.global_batch // shards // train.accumulate
    memory = strategy.memory(experiment, table_of(experiment.net), ranks)
    activations = activation_bytes(experiment, strategy.split_size, samples)
    parts = {
        "weights": memory.parameters,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        f"images and activations of {counted(samples, 'sample')}": activations,
    }
    mesh = " x ".join(f"{axis} {size}" for axis, size in strategy.mesh(ranks).items())
    lines = {
        "devices": f"assumed: {devices}",
        "mesh": f"{mesh}, under {strategy.name}",
        "batch": shared_batch(train.global_batch, shards, train.accumulate),
        "precision": train.precision,
        "MB a rank": ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts.items()),
        "together": f"{sum(parts.values()) / 1e6:,.1f} MB; not counted: libraries, their workspaces, message buffers",
    }
    for name, text in lines.items():
        print(f"{name:<10} {text}")


def activation_bytes(experiment: Experiment, split_size: int, samples: int) -> int:
    """Bytes of what a rank keeps of a micro-batch from forward to backward: every layer's output, and the images.

    Args:
        experiment: resolved.
        split_size: ranks that share a replica, each with its part of every layer.
        samples: of the micro-batch, on this rank.
    """
    table = table_of(experiment.net)
    size = precision_of(experiment).compute_bytes
    outputs = totals(layer_rows(table, 1, size)).activations // split_size
    return samples * size * (outputs + table.channels * table.size**2)
