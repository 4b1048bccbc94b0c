"""Wrong calls of the library: one line says what was given and what is asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import alexnet_dist as ad

TABLE = ad.layer_table("alexnet_small")
NET = ad.create_net(TABLE)
STATE = NET.state_dict()
NORM: dict[str, Any] = {"maps": 2, "size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}
TIMES: tuple[Any, ...] = ([], [[]], [[0.1], []], [[0.0]], [[-0.1]], [[float("nan")]], [0.1, 0.2], [["a"]], None)

CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (ad.create_net, ("alexnet_small",), r"table is 'alexnet_small': give a Table, such as layer_table\("),
    (ad.AlexNet, (None,), "table is None: give a Table"),
    *((ad.create_net, (TABLE, seed), "seed is .*: it must be a whole number") for seed in ("a", -1, 1.5, True, 2**63)),
    (NET, (np.zeros((1, 1, 32, 32)),), "images are of type ndarray: give a torch.Tensor"),
    (NET, (torch.zeros(1, 3, 32, 32),), r"the shape \(1, 3, 32, 32\): alexnet_small takes \(batch, 1, 32, 32\)"),
    (NET, (torch.zeros(1, 1, 33, 33),), r"the shape \(1, 1, 33, 33\): alexnet_small takes"),
    (NET, (torch.zeros(1, 1, 32, 32).byte(),), "images are torch.uint8: scale them to floating numbers"),
    (ad.export_onnx, (nn.Linear(1, 1), "net.onnx"), "net is of type Linear: give an AlexNet, without what wraps it"),
    (ad.from_torchvision, ({f"module.{name}": value for name, value in STATE.items()},), "the first is module.conv1"),
    (ad.from_torchvision, (NET,), r"state is of type AlexNet: give a module's state_dict\(\)"),
    (ad.to_torchvision, ({"weights": torch.zeros(1)},), "the first is weights, not conv1.weight"),
    (ad.split, (nn.Linear(1, 1),), "net is of type Linear: give an AlexNet"),
    (ad.split, (NET, "world"), "group is 'world': give a process group"),
    (ad.gather_parts, (NET,), r"parts is of type AlexNet: give tensors by name"),
    (ad.gather_parts, ({"conv1.weight": None},), "parts has None under conv1.weight"),
    (lambda x: ad.response_norm(x, **NORM), (np.zeros((1, 4, 2, 2)),), "x is of type ndarray: give a torch.Tensor"),
    (lambda x: ad.response_norm(x, **NORM), (torch.zeros(4),), r"x has the shape \(4,\): it must be \(batch"),
    *((ad.statistics.Timings, (64, times), r"step_seconds is .*: it must be a list of rounds") for times in TIMES),
    *((ad.statistics.Timings, (samples, [[0.1]]), "samples is .*: it must be a whole number") for samples in (0, "a")),
    (ad.statistics.median_estimate, ([[]],), r"step_seconds is \[\[\]\]: it must be a list of rounds"),
]


@pytest.mark.parametrize(("call", "given", "words"), CALLS)
def test_it_is_one_line(call: Callable[..., Any], given: tuple[Any, ...], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words) as raised:
        call(*given)
    assert "\n" not in str(raised.value)


def test_a_seed_of_numpy_is_the_same_seed() -> None:
    seeds: tuple[Any, Any] = (3, np.int64(3))
    ours, theirs = (ad.create_net(TABLE, seed).state_dict() for seed in seeds)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_names_that_are_not_torchvisions_stay_as_they_are() -> None:
    names = ["features.0.weight", "other.weight", "step"]
    assert [*ad.from_torchvision(dict.fromkeys(names, torch.zeros(1)))] == ["conv1.weight", "other.weight", "step"]
