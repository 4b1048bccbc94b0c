"""Every strategy is the same training as one process: all nets, towers, optimizers and accumulations, dropout on.

The long form (every combination; every large net, ten steps, four ranks too) runs with `launch/test.sh --long`.
"""

from itertools import product
from pathlib import Path

import preloaded
import pytest
import torch
from conftest import ROOT
from long_forms import LONG
from parity_cases import ADAM, CALM_ADAM, CALM_SGD, LARS, NETS, SGD, SMALL, TRAINING, hold, worlds

from alexnet_dist.errors import USAGE
from alexnet_dist.parity.trace import TrainingTrace, differences
from alexnet_dist.parity.verdict import judge

FEW = [TRAINING[0], TRAINING[-1]]  # each optimizer, each accumulation


def test_the_small_net(tmp_path: Path) -> None:
    cases = {
        f"{name}, {optimizer[1]}, {accumulate} micro-batches": [
            *net, *optimizer, "--train.accumulate", accumulate, "--train.global_batch", "8",
        ]
        for (name, net), (optimizer, accumulate) in product(SMALL.items(), TRAINING if LONG else FEW)
    }  # fmt: skip
    cases["clipped"] = [*SMALL["small"], *ADAM, "--train.clip_norm", "0.1", "--train.global_batch", "8"]
    cases["lars"] = [*SMALL["small"], *LARS, "--train.clip_norm", "1", "--train.global_batch", "8"]
    cases["short batches"] = [*SMALL["small"], *SGD, "--train.accumulate", "3", "--train.global_batch", "12"]
    cases["tanh"] = [*SMALL["small"], *SGD, "--net.activation", "tanh", "--train.global_batch", "8"]
    hold(cases, tmp_path, worlds(10))


def test_three_and_four_replicas(tmp_path: Path) -> None:
    """Shares that are no powers of two: traffic must not be rounded bucket by bucket."""
    cases = {"small": [*SMALL["small"], *SGD, "--train.global_batch", "12"]}
    hold(cases, tmp_path, worlds(4, {3: ["ddp"], 4: ["ddp", "split"]}))


@pytest.mark.parametrize("name", NETS if LONG else ["2012"])
def test_a_large_net(name: str, tmp_path: Path) -> None:
    # In the full form each optimizer and accumulation; the small net meets every combination.
    chosen = [(CALM_SGD, "2"), (CALM_ADAM, "1")] if LONG else [(CALM_SGD, "2")]
    cases = {
        f"{name}, {optimizer[1]}, {accumulate} micro-batches": [
            *NETS[name], *optimizer, "--train.accumulate", accumulate, "--train.global_batch", "4",
        ]
        for optimizer, accumulate in chosen
    }  # fmt: skip
    hold(cases, tmp_path, worlds(10) if LONG else worlds(3, {2: ["split"]}))


def test_a_wrong_gradient_is_seen() -> None:
    """A gradient that is 1 % off does not show in the losses of ten steps, but here."""
    right = {"conv1.weight": torch.ones(3, 3), "conv1.bias": torch.ones(3)}
    reference = TrainingTrace([2.0], right, right, {})
    assert judge("split", 2, differences(reference, reference), "fp32", 128).same
    for value in (1.01, float("nan")):
        wrong = TrainingTrace([2.0], {**right, "conv1.weight": torch.full((3, 3), value)}, right, {})
        verdict = judge("split", 2, differences(wrong, reference), "fp32", 128)
        assert not verdict.same and verdict.worst["gradient"].where == "conv1.weight"
        assert not verdict.drifts
    still = TrainingTrace([2.0], {**right, "conv1.bias": torch.zeros(3)}, right, {})
    with pytest.raises(RuntimeError, match=r"conv1.bias is zero"):
        differences(still, still)


def test_rounding_that_grows_is_told_from_a_wrong_gradient() -> None:
    right = {"conv1.weight": torch.ones(3, 3)}
    reference = TrainingTrace([2.0], right, right, {})
    later = TrainingTrace([2.0], right, {"conv1.weight": torch.full((3, 3), 1 + 3e-12, dtype=torch.float64)}, {})
    verdict = judge("ddp", 2, differences(later, reference), "fp64", 4)
    assert not verdict.same and verdict.drifts


def test_what_the_ranks_refuse_is_refused() -> None:
    flags = ["--config", str(ROOT / "configs/smoke.yaml"), "--data.name", "synthetic", "--train.precision", "fp16"]
    done = preloaded.command("parity", *flags, "--strategy.name", "split", ranks=1, **preloaded.FORKS_RANKS)
    assert done.returncode == USAGE
    assert done.stdout == "warning: strategy.name: split has no effect: the command sets it\n"
    assert done.stderr.startswith("error: train.precision: fp16: ")
