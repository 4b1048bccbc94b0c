"""fp16's loss scale on real ranks: an overflow in one tower skips the step in both."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from alexnet_dist.strategies.parts.loss_scale import GROWTH_STEPS, START, LossScale

TOWERS = """
import json, sys
from functools import partial
import torch, torch.distributed as dist
from accelerate import Accelerator
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import OptimConfig
from alexnet_dist.config.load import load
from alexnet_dist.rng import Rng
from alexnet_dist.distributed.mesh import World
from alexnet_dist.nets.alexnet import AlexNet, initialise
from alexnet_dist.strategies.base import Dtypes
from alexnet_dist.strategies.parts.loss_scale import LossScale
from alexnet_dist.strategies.split import Split
from alexnet_dist.training.optimizer import make_optimizer

accelerator = Accelerator(cpu=True)
device = torch.device("cpu")
experiment = resolve(load(["--net.name", "alexnet_small", "--data.name", "synthetic"]), 2)
world = World(accelerator.process_index, 2, device, dist.new_group(backend="gloo"))

def trained(scale, inf_on=None, max_norm=None):
    strategy = Split(experiment, world, Dtypes(torch.float32, torch.float32))
    strategy._scale = scale
    net = AlexNet(table_of(experiment.net))
    initialise(net, Rng(0))
    settings = OptimConfig(name="sgd", lr=0.1, momentum=0.0)
    module = strategy.place(net, partial(make_optimizer, settings), accelerator)
    before = {name: w.clone() for name, w in strategy.weights().items()}
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    strategy.backward(torch.nn.functional.cross_entropy(module(images), torch.arange(4)))
    if inf_on == world.rank:
        net.get_parameter("conv2.weight").grad[0] = float("inf")
    result = strategy.apply({"weights": 0.1, "biases": 0.1}, max_norm)
    after = strategy.weights()
    moved = max(float((after[n] - before[n]).abs().max()) for n in before)
    return after, moved, None if result.skipped is None else float(result.skipped), result.norm

plain, plain_moved, _, _ = trained(None)
scaled, _, skipped, norm = trained(LossScale(device))
clipped, _, _, _ = trained(None, max_norm=0.1)
both, _, _, _ = trained(LossScale(device), max_norm=0.1)
overflowing = LossScale(device)
_, moved, overflowed, _ = trained(overflowing, inf_on=1)
result = {
    "plain moved": plain_moved,
    "scaled differs": max(float((scaled[n] - plain[n]).abs().max()) for n in plain),
    "clipped differs": max(float((both[n] - clipped[n]).abs().max()) for n in plain),
    "skipped": skipped, "norm": float(norm),
    "moved in spite of inf": moved, "overflowed": overflowed, "factor": float(overflowing.factor),
}
everyone = [None, None]
dist.all_gather_object(everyone, result)
if world.rank == 0:
    print("RESULT " + json.dumps(everyone), flush=True)
dist.barrier()
dist.destroy_process_group()
"""


def test_towers_skip_together_and_scaling_changes_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "towers.py"
    script.write_text(TOWERS)
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    ranks = json.loads(next(text for text in done.stdout.splitlines() if text.startswith("RESULT "))[7:])
    for rank in ranks:
        assert rank["plain moved"] > 1e-4 and rank["skipped"] == 0.0
        # Powers of two scale without rounding.
        assert rank["scaled differs"] == pytest.approx(0, abs=1e-7) == rank["clipped differs"]
        assert rank["norm"] == ranks[0]["norm"]
        # Only rank 1 saw the inf.
        assert (rank["moved in spite of inf"], rank["overflowed"], rank["factor"]) == (0.0, 1.0, START / 2)


def test_the_factor_doubles_after_many_good_steps() -> None:
    scale = LossScale(torch.device("cpu"))
    for _ in range(GROWTH_STEPS - 1):
        assert float(scale.update(torch.tensor(1.0))) == 0.0
    assert float(scale.factor) == START
    scale.update(torch.tensor(1.0))
    assert float(scale.factor) == 2 * START
    assert float(scale.update(torch.tensor(float("nan")))) == 1.0 and float(scale.factor) == START
