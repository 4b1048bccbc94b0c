"""Layers merged into one kernel: which they are, and that the net computes the same."""

from dataclasses import replace

import pytest
import torch
from interpreted_kernels import interpreted
from torch import Tensor

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.nets import table as t
from alexnet_dist.nets.alexnet import AlexNet, create_net
from alexnet_dist.nets.merging import merged_layers


def table(name: str, *flags: str) -> t.Table:
    return table_of(resolve(load(["--net.name", name, "--data.name", "synthetic", *flags]), 1).net)


@pytest.mark.parametrize(
    "flags, merged",
    [
        (["alexnet_2012"], ["norm1 pool1 relu1", "relu2 norm2 pool2"]),
        (["alexnet_2012", "--net.follows", "paper"], ["relu1 norm1 pool1", "relu2 norm2 pool2"]),
        (["alexnet_2012", "--net.activation", "tanh"], ["norm1 pool1", "norm2 pool2"]),
        (["alexnet_2012", "--net.norm", "false"], []),
        (["alexnet_small", "--net.pool_overlap", "false"], ["norm1 pool1 relu1", "relu2 norm2 pool2"]),
    ],
)
def test_they_follow_from_the_table(flags: list[str], merged: list[str]) -> None:
    assert [" ".join(each.names) for each in merged_layers(table(*flags)).values()] == merged


def test_a_norm_without_a_pool_stays_alone() -> None:
    whole = table("alexnet_small")
    unpooled = replace(whole, layers=tuple(layer for layer in whole.layers if layer.name != "pool1"))
    assert list(merged_layers(unpooled)) == ["relu2"]


@pytest.mark.parametrize(
    "flags", [[], ["--net.towers", "1", "--net.activation", "tanh", "--net.pool_overlap", "false"]]
)
def test_a_net_computes_the_same_with_and_without(flags: list[str]) -> None:
    net = create_net(table("alexnet_small", *flags)).double()
    images = torch.rand(2, 1, 32, 32, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    masks = {name: torch.ones(2, 64) for name in ("dropout6", "dropout7")}
    calls: list[str] = []
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda *_, name=name: calls.append(name))

    def computed() -> tuple[Tensor, ...]:
        calls.clear()
        logits = net(images, masks)
        return logits, *torch.autograd.grad(logits.square().sum(), list(net.parameters()))

    separate = computed()
    assert "norm1" in calls
    with interpreted():
        merged = computed()
    assert not {"norm1", "pool1", "norm2", "pool2"} & set(calls) and "conv5" in calls
    for ours, theirs in zip(merged, separate, strict=True):
        assert (ours - theirs).norm() / theirs.norm() < 1e-12


def test_an_exported_net_keeps_them_apart() -> None:
    net = AlexNet(table("alexnet_small")).eval()
    with interpreted():
        program = torch.export.export(net, (torch.zeros(2, 1, 32, 32),))
    called = [str(node.target) for node in program.graph.nodes]
    assert called.count("alexnet_dist.response_norm.default") == 2 and not any("norm_pool" in name for name in called)
