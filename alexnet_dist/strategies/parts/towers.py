"""Cutting a one-device net into the part that one rank of a replica holds."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alexnet_dist.distributed.mesh import Layout
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.strategies.parts.exchange import TowerExchange


def cut(net: AlexNet, layout: Layout, dtype: torch.dtype, communicates: bool) -> None:
    """Keep this rank's part of every parameter, and let towers meet at the table's exchanges. In place.

    A part is the rank's chunk along dim 0 (output channels, units); the module finds its groups from the shapes.

    Args:
        dtype: of activations on the wire.
        communicates: false puts exchanges in that send nothing.
    """
    for name, parameter in list(net.named_parameters()):
        layer, _, kind = name.rpartition(".")
        part = parameter.detach()[layout.part(len(parameter))].clone()
        setattr(net.get_submodule(layer), kind, nn.Parameter(part))
    for exchange, _ in net.table.exchanges():
        net.set_submodule(exchange.name, TowerExchange(layout.split_group, dtype, exchange.logits, communicates))


def whole(part: Tensor, layout: Layout) -> Tensor:
    """The one-device tensor of which every rank holds its part along dim 0. Collective over a replica."""
    part = part.contiguous()
    parts = [torch.empty_like(part) for _ in range(layout.split_size)]
    dist.all_gather(parts, part, group=layout.split_group)
    return torch.cat(parts)
