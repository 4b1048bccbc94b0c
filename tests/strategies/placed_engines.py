"""Started on ranks by test_placed_engines.py: what each strategy holds and the process groups that it makes.

    python placed_engines.py STRATEGIES FLAGS…

Memory is measured between backward and update of the third step. Rank 0 prints, for each strategy, the fullest rank's
Memory, the prediction from the table, and the bytes behind all tensors of the process that were not there before; and
the seconds that each new process group waits, after the engine is placed and after `limit_waiting`.
"""

import gc
import json
import sys
from dataclasses import asdict
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.tensor import DTensor

from alexnet_dist.config.load import load
from alexnet_dist.data.dataset import InMemory
from alexnet_dist.distributed.agreement import gather_on_first
from alexnet_dist.distributed.bring_up import limit_waiting, shut_down
from alexnet_dist.strategies.engines.base import held_bytes
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.training.step import training_step
from alexnet_dist.training.wiring import build, init_ranks


def everything() -> int:
    gc.collect()
    tensors = [value for value in gc.get_objects() if issubclass(type(value), Tensor)]
    tensors += [value.grad for value in tensors if value.is_leaf and value.grad is not None]
    return held_bytes(value.to_local() if isinstance(value, DTensor) else value for value in tensors if real(value))


def real(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, torch.nn.Parameter, DTensor) and tensor.device.type != "meta"


def groups() -> set[ProcessGroup]:
    """All that this rank is in, as torch knows them."""
    return set(dist.distributed_c10d._world.pg_map)


def limits(found: set[ProcessGroup]) -> list[float]:
    """How long each waits, in seconds."""
    return sorted(group._get_backend(torch.device("cpu")).options._timeout.total_seconds() for group in found)


def main(strategies: list[str], flags: list[str]) -> None:
    earlier = set[ProcessGroup]()
    for number, name in enumerate(strategies):
        before = everything()
        experiment, accelerator, world = init_ranks(load([*flags, "--strategy.name", name]))
        components = build(experiment, accelerator, world)
        at_start = limits(groups() - earlier)
        limit_waiting(world, components.engine.groups(), timedelta(seconds=300 + number))
        assert dist.group.WORLD is not None and world.control is not None
        after = limits((groups() - earlier) | {dist.group.WORLD, world.control})
        earlier = groups()
        parts = (components.data.train, components.data.test)
        data = held_bytes([part.pixels for part in parts if isinstance(part, InMemory)])
        held: list[dict[str, int]] = []

        def look(components=components, held=held, before=before, data=data) -> None:  # type: ignore[no-untyped-def]
            held.append({**asdict(components.engine.held_memory()), "found": everything() - before - data})

        meter, batches = Meter(world, components.engine.samples.reporting_ranks), components.micro_batches(0, 3)
        meter.start()
        for step in range(3):
            training_step(components, step, batches, meter, inspect=look)
        ranks = gather_on_first(world, held[-1])
        expected = asdict(components.strategy.memory(experiment, components.table, world.size))
        if world.rank == 0:
            fullest = {kind: max(rank[kind] for rank in ranks) for kind in ranks[0]}
            print("PLACED " + json.dumps([name, fullest, expected, at_start, after]), flush=True)
        del components, batches, meter, look
        shut_down(accelerator)


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2:])
