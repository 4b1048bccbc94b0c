"""ZeRO and FSDP are the same training as one process, and send what the layer table says.

DeepSpeed computes in fp32 at most: its gradients are held to that tolerance; FSDP also to fp64's, over ten steps. The
long form, every large net, runs with `launch/test.sh --long`.
"""

from pathlib import Path

import pytest
from long_forms import LONG
from parity_cases import ADAM, LARS, NETS, SGD, SMALL, Kinds, exactly, hold

ZERO = ["zero1", "zero2", "zero3"]
SHARDED = [*ZERO, "fsdp"]
FP32: Kinds = [("fp32", 3)]


def test_the_small_net(tmp_path: Path) -> None:
    """On three ranks the parts are unequal: padding is sent, too."""
    cases = {
        "adam, clipped": [*SMALL["small"], *ADAM, "--train.clip_norm", "0.1", "--train.global_batch", "12"],
        "sgd, 2 micro-batches": [
            *SMALL["small, one tower"], *SGD, "--train.accumulate", "2", "--train.global_batch", "12",
        ],
    }  # fmt: skip
    coarse: Kinds = [*FP32, ("bf16", 3)]
    two = {**dict.fromkeys(ZERO, coarse), "fsdp": [*exactly(10), *coarse]}
    hold(cases, tmp_path, {2: two, 3: dict.fromkeys(SHARDED, FP32)})


def test_two_sharded_copies_on_four_ranks(tmp_path: Path) -> None:
    hybrid = ["--strategy.shard_ranks", "2", "--train.global_batch", "8", "--train.accumulate", "2"]
    cases = {
        "resharded": [*SMALL["small"], *ADAM, *hybrid, "--train.clip_norm", "0.1"],
        "kept": [*SMALL["small, columns"], *SGD, *hybrid, "--strategy.reshard_after_forward", "false"],
        "lars": [*SMALL["small"], *LARS, *hybrid],
    }
    hold(cases, tmp_path, {4: {"fsdp": exactly(10)}})


def test_a_layer_with_fewer_rows_than_ranks_is_held_whole(tmp_path: Path) -> None:
    few = ["--net.classes", "2", "--train.global_batch", "8", "--train.accumulate", "2"]
    cases = {
        "clipped": [*SMALL["small"], *ADAM, *few, "--train.clip_norm", "0.1"],
        "lars": [*SMALL["small"], *LARS, *few],
    }
    hold(cases, tmp_path, {4: {"fsdp": exactly(10)}})


def test_weights_kept_for_backward(tmp_path: Path) -> None:
    kept = ["--strategy.reshard_after_forward", "false", "--train.global_batch", "12", "--train.accumulate", "2"]
    hold({"kept": [*SMALL["small"], *ADAM, *kept]}, tmp_path, {3: {"zero3": FP32}})


def test_updating_on_the_host(tmp_path: Path) -> None:
    cases = {
        "on the host": [*SMALL["small"], *ADAM, "--train.global_batch", "8", "--strategy.offload_optimizer", "true"]
    }
    hold(cases, tmp_path, {2: dict.fromkeys(ZERO, FP32)})


@pytest.mark.skipif(not LONG, reason="long form: launch/test.sh --long")
@pytest.mark.parametrize("name", NETS)
def test_a_large_net(name: str, tmp_path: Path) -> None:
    case = [*NETS[name], *SGD, "--train.global_batch", "4"]
    one: Kinds = [("fp32", 1)]
    hold({name: case}, tmp_path, {2: {**dict.fromkeys(ZERO, one), "fsdp": exactly(1)}})
    # Two images a rank: for one, torch takes another kernel under FSDP, and rounding makes a pool of the net of 2012
    # choose another of two all but equal values: 1 % of a gradient in fp32, 4e-15 in fp64.
    hold({name: [*case[:-1], "8", "--strategy.shard_ranks", "2"]}, tmp_path, {4: {"fsdp": one}})
