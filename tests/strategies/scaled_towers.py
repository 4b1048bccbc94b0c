"""Started on two ranks by test_loss_scale.py: one step of the split with and without a loss scale, and one that
overflows on rank 1. Rank 0 prints what each rank saw."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor

from alexnet_dist import registry
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.mesh import World
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.rng import Rng
from alexnet_dist.strategies.engines.base import Dtypes
from alexnet_dist.strategies.parts.loss_scale import LossScale
from alexnet_dist.training.optimizers import make_optimizer

DEVICE = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """Weights after the step, how far they moved at most, whether it was skipped, the gradient's norm."""

    weights: dict[str, Tensor]
    moved: float
    skipped: float | None
    norm: Tensor | None


def trained(
    accelerator: Accelerator,
    world: World,
    scale: LossScale | None,
    inf_on: int | None = None,
    max_norm: float | None = None,
) -> Trained:
    """One step.

    Args:
        inf_on: the rank on which a gradient overflows.
    """
    flags = ["--net.name", "alexnet_small", "--data.name", "synthetic", "--strategy.name", "split"]
    experiment = resolve(load([*flags, "--train.global_batch", "4", "--net.dropout", "0"]), 2)
    engine = registry.load(registry.strategies["split"].engine)(experiment, world, Dtypes(torch.float32, torch.float32))
    engine._scale = scale  # as in fp16, which CPUs do not have
    net = AlexNet(table_of(experiment.net))
    initialise(net, Rng(0))
    engine.place(net, partial(make_optimizer, OptimConfig(name="sgd", lr=0.1, momentum=0.0)), accelerator)
    before = {name: weight.clone() for name, weight in engine.weights().items()}
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    engine.forward_backward([(MicroBatch(images, torch.arange(4), torch.arange(4), range(4)), {})], 4)
    if inf_on == world.rank:
        gradient = net.get_parameter("conv2.weight").grad
        assert gradient is not None
        gradient[0] = float("inf")
    result = engine.apply({"weights": 0.1, "biases": 0.1}, max_norm)
    after = engine.weights()
    moved = max(float((after[name] - before[name]).abs().max()) for name in before)
    return Trained(after, moved, None if result.skipped is None else float(result.skipped), result.norm)


def differs(one: Trained, other: Trained) -> float:
    return max(float((one.weights[name] - weight).abs().max()) for name, weight in other.weights.items())


def main() -> None:
    accelerator = Accelerator(cpu=True)
    control = dist.new_group(backend="gloo")
    assert isinstance(control, dist.ProcessGroup)
    train = partial(trained, accelerator, World(accelerator.process_index, 2, DEVICE, control))
    plain, scaled = train(None), train(LossScale(DEVICE))
    clipped, both = train(None, max_norm=0.1), train(LossScale(DEVICE), max_norm=0.1)
    factor = LossScale(DEVICE)
    overflowing = train(factor, inf_on=1)
    assert scaled.norm is not None
    seen = {
        "plain moved": plain.moved,
        "scaled differs": differs(scaled, plain),
        "clipped differs": differs(both, clipped),
        "skipped": scaled.skipped,
        "norm": float(scaled.norm),
        "moved in spite of inf": overflowing.moved,
        "overflowed": overflowing.skipped,
        "factor": float(factor.factor),
    }
    ranks: list[Any] = [None, None]
    dist.all_gather_object(ranks, seen)
    if dist.get_rank() == 0:
        print("RESULT " + json.dumps(ranks), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
