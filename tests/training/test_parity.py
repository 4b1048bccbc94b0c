"""Every strategy is the same training as one process: all nets, towers, optimisers and accumulations, dropout on.

The long form (every large net, ten steps, four ranks too) runs with ALEXNET_DIST_PARITY=full.
"""

import os
from itertools import product
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from alexnet_dist import parity
from alexnet_dist.training.probe import Probe, compare

FULL = os.environ.get("ALEXNET_DIST_PARITY") == "full"
NETS = {
    "2012": ["--net.name", "alexnet_2012"],
    "2012, one tower": ["--net.name", "alexnet_2012", "--net.towers", "1", "--net.norm", "false"],
    "owt": ["--net.name", "alexnet_owt"],
    "owt, two towers": ["--net.name", "alexnet_owt", "--net.towers", "2"],
    "fashion": ["--net.name", "alexnet_fashion"],
    "fashion, two towers": ["--net.name", "alexnet_fashion", "--net.towers", "2"],
}
SMALL = {
    "small": ["--net.name", "alexnet_small"],
    "small, one tower": ["--net.name", "alexnet_small", "--net.towers", "1", "--net.norm", "false"],
    "small, four towers": ["--net.name", "alexnet_small", "--net.towers", "4", "--net.classes", "12"],
    "small, columns": ["--net.name", "alexnet_small", "--net.exchange", "[fc8]"],
}
SGD = ["--optim.name", "sgd", "--optim.lr", "0.01", "--optim.weight_decay", "5e-4", "--optim.bias_lr", "0.02"]
ADAM = ["--optim.name", "adam", "--optim.lr", "1e-3"]
# At 1e-3 a large net's first steps are so violent that Adam, which divides by gradients near zero, makes 4e-12 of
# fp64's rounding in ten steps (the gradients of the first agree to 4e-15).
CALM_ADAM = ["--optim.name", "adam", "--optim.lr", "1e-4"]
TRAINING = [(optimizer, accumulate) for optimizer in (SGD, ADAM) for accumulate in ("1", "2")]
SYNTHETIC = ["--data.name", "synthetic", "--data.samples", "64"]
WORLDS = {1: ["single"], 2: ["ddp", "split"], 4: ["split"]}
MORE_WORLDS = {1: ["single"], 3: ["ddp"], 4: ["ddp", "split"]}


def hold(cases: dict[str, list[str]], steps: int, folder: Path, worlds: dict[int, list[str]] = WORLDS) -> None:
    """Every case under every strategy against one process: `steps` steps in fp64, and one in fp32; traffic included.

    One launch a world takes all of them.
    """
    runs = [(case, *kind) for case in cases for kind in (("fp64", steps), ("fp32", 1))]
    references: dict[tuple[str, str], Path] = {}
    for ranks, strategies in worlds.items():
        keys = [(run, strategy) for run in runs for strategy in strategies]
        lines = [
            parity.Case(
                [*cases[case], *SYNTHETIC, "--train.precision", precision, "--strategy.name", strategy],
                count,
                references.get((case, precision)),
            )
            for (case, precision, count), strategy in keys
        ]
        paths = parity.measure(lines, ranks, folder)
        if not references:
            references = {(case, precision): path for ((case, precision, _), _), path in zip(keys, paths, strict=True)}
            continue
        for ((case, precision, count), strategy), path in zip(keys, paths, strict=True):
            compared = parity.read_comparison(path)
            verdict = parity.judge(strategy, ranks, compared, precision)
            assert verdict.same, f"{case}, {precision}, under {strategy} on {ranks} ranks: {verdict.worst}"
            if count > 2:  # DDP's first two steps also agree on buckets
                assert compared.traffic["counted"] == compared.traffic["expected"], f"{case} under {strategy}"


def test_the_small_net_in_every_combination(tmp_path: Path) -> None:
    cases = {
        f"{name}, {optimizer[1]}, {accumulate} micro-steps": [
            *net, *optimizer, "--train.accumulate", accumulate, "--train.global_batch", "8",
        ]
        for (name, net), (optimizer, accumulate) in product(SMALL.items(), TRAINING)
    }  # fmt: skip
    cases["clipped"] = [*SMALL["small"], *ADAM, "--train.clip_norm", "0.1", "--train.global_batch", "8"]
    cases["short batches"] = [*SMALL["small"], *SGD, "--train.accumulate", "3", "--train.global_batch", "12"]
    cases["tanh"] = [*SMALL["small"], *SGD, "--net.activation", "tanh", "--train.global_batch", "8"]
    hold(cases, 10, tmp_path)


def test_three_and_four_replicas(tmp_path: Path) -> None:
    """Shares that are no powers of two: traffic must not be rounded bucket by bucket."""
    cases = {"small": [*SMALL["small"], *SGD, "--train.global_batch", "12"]}
    hold(cases, 4, tmp_path, MORE_WORLDS)


@pytest.mark.parametrize("name", NETS if FULL else ["2012", "owt"])
def test_a_large_net(name: str, tmp_path: Path) -> None:
    # In the full form each optimiser and accumulation; the small net meets every combination.
    chosen = [(SGD, "2"), (CALM_ADAM, "1")] if FULL else [(SGD, "2") if name == "2012" else (CALM_ADAM, "1")]
    steps, worlds = (10, WORLDS) if FULL else (3, {1: ["single"], 2: ["ddp", "split"]})
    cases = {
        f"{name}, {optimizer[1]}, {accumulate} micro-steps": [
            *NETS[name], *optimizer, "--train.accumulate", accumulate, "--train.global_batch", "4",
        ]
        for optimizer, accumulate in chosen
    }  # fmt: skip
    hold(cases, steps, tmp_path, worlds)


def test_a_wrong_gradient_is_seen() -> None:
    """A gradient that is 1 % off does not show in the losses of ten steps, but here."""
    right = {"conv1.weight": torch.ones(3, 3), "conv1.bias": torch.ones(3)}
    reference = Probe([2.0], right, right, {})
    assert parity.judge("split", 2, compare(reference, reference), "fp32").same
    for value in (1.01, float("nan")):
        wrong = Probe([2.0], {**right, "conv1.weight": torch.full((3, 3), value)}, right, {})
        verdict = parity.judge("split", 2, compare(wrong, reference), "fp32")
        assert not verdict.same and verdict.worst["gradient"].where == "conv1.weight"
    still = Probe([2.0], {**right, "conv1.bias": torch.zeros(3)}, right, {})
    with pytest.raises(RuntimeError, match=r"conv1.bias is zero"):
        compare(still, still)


def test_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    flags = ["--config", str(ROOT / "configs/smoke.yaml"), "--data.name", "synthetic", "--train.precision", "fp64"]
    assert parity.run([*flags, "--strategies", "ddp,split", "--ranks", "2", "--steps=3"]) == 0
    shown = capfd.readouterr().out
    assert shown.count("same") == 2 and "1e-12" in shown and max(map(len, shown.splitlines())) <= 100
