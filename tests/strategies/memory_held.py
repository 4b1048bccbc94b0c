"""Started on ranks by test_memory.py: what each strategy holds, by its own count and as tensors that Python can find.

    python memory_held.py STRATEGIES FLAGS…

Measured between backward and update of the third step. Rank 0 prints, for each strategy, the fullest rank's Memory, the
prediction from the table, and the bytes behind all tensors of the process that were not there before.
"""

import gc
import json
import sys
from dataclasses import asdict

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from alexnet_dist.config.load import load
from alexnet_dist.distributed.agreement import gather_on_first
from alexnet_dist.distributed.bring_up import shut_down
from alexnet_dist.strategies.parts.memory_held import held_bytes
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


def main(strategies: list[str], flags: list[str]) -> None:
    for name in strategies:
        before = everything()
        experiment, accelerator, world = init_ranks(load([*flags, "--strategy.name", name]))
        components = build(experiment, accelerator, world)
        data = held_bytes([components.data.train.pixels, components.data.test.pixels])
        held = []

        def look(components=components, held=held, before=before, data=data) -> None:  # type: ignore[no-untyped-def]
            held.append({**asdict(components.engine.held_memory()), "found": everything() - before - data})

        meter, batches = Meter(world, components.engine.samples.speakers), components.micro_batches(0, 3)
        meter.start()
        for step in range(3):
            training_step(components, step, batches, meter, inspect=look)
        ranks = gather_on_first(world, held[-1])
        expected = asdict(components.strategy.memory(experiment, components.table, world.size))
        if world.rank == 0:
            fullest = {kind: max(rank[kind] for rank in ranks) for kind in ranks[0]}
            print("HELD " + json.dumps([name, fullest, expected]), flush=True)
        del components, batches, meter, look
        shut_down(accelerator)


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2:])
