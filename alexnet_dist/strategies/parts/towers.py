"""A net whose towers are on the ranks of a process group, and whole tensors from the parts."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from alexnet_dist.nets.alexnet import AlexNet, Dropout, check_whole
from alexnet_dist.strategies.parts.cut_check import check_cut
from alexnet_dist.strategies.parts.exchange import TowerExchange


def split(net: AlexNet, group: ProcessGroup | None = None) -> AlexNet:
    """Distribute a net's towers over the ranks of a process group. Collective.

    Afterwards each rank's net has an equal part of every parameter and exchanges activations with the others in forward
    and backward. All ranks are given the same images and get the same whole logits; backward leaves the gradients of
    the rank's own parameters, so any optimizer that works value by value can update them.

    Args:
        net: whole, with the same weights on every rank, on any device; changed in place.
        group: the ranks, in tower order; by default all of them.

    Returns:
        The net, with this rank's part of every parameter as a new `torch.nn.Parameter`.

    Raises:
        UsageError: the net cannot be cut into as many equal parts as there are ranks.
        TypeError: it is another module, or the group is none that this rank is in.
        ValueError: it is split already; or, at the first forward pass, the ranks were given different images.
    """
    if not isinstance(net, AlexNet):
        raise TypeError(f"net is of type {type(net).__name__}: give an AlexNet, without what wraps it")
    group = _ranks(group)
    check_whole(net)
    check_cut(net.table, group.size())
    cut(net, group)

    def check_images(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        images = positional[0] if positional else named.get("images")
        if not isinstance(images, Tensor):
            return  # forward refuses it
        hook.remove()
        sums = whole(torch.stack([images.double().sum(), images.double().square().sum()]), group).view(-1, 2)
        sums = sums.nan_to_num()  # a NaN is not equal to itself
        if not torch.equal(sums, sums[:1].expand_as(sums)):
            raise ValueError("the ranks of a split net were given different images: they must work on the same batch")

    hook = net.register_forward_pre_hook(check_images, with_kwargs=True)
    return net


def gather_parts(parts: Mapping[str, Tensor], group: ProcessGroup | None = None) -> dict[str, Tensor]:
    """The whole tensors of a split net from every rank's parts, under the same names. Collective.

    Args:
        parts: what this rank holds of each: weights (`net.state_dict()`), gradients, an optimizer's moments.
        group: as given to `split`.

    Raises:
        TypeError: `parts` is no mapping, or holds something that is no tensor with a dim 0.
    """
    if not isinstance(parts, Mapping):
        raise TypeError(f"parts is of type {type(parts).__name__}: give tensors by name, such as net.state_dict()")
    for name, part in parts.items():
        if not isinstance(part, Tensor) or part.dim() == 0:
            raise TypeError(f"parts has {part!r} under {name}: leave out what is no part of a layer's tensor")
    return {name: whole(part.detach(), _ranks(group)) for name, part in parts.items()}


def _ranks(group: ProcessGroup | None) -> ProcessGroup:
    chosen = group or dist.group.WORLD
    if chosen is None:
        raise ValueError("there is no process group: call torch.distributed.init_process_group, or make an Accelerator")
    if not isinstance(chosen, ProcessGroup):
        raise TypeError(f"group is {chosen!r}: give a process group that this rank is in, as new_group returns it")
    return chosen


def cut(net: AlexNet, group: ProcessGroup, dtype: torch.dtype | None = None, communicates: bool = True) -> None:
    """Keep this rank's part of every parameter, and connect towers at the table's exchanges. In place.

    A part is the rank's chunk along dim 0 (output channels, units); the module finds its groups from the shapes.

    Args:
        group: the ranks of a replica, in tower order.
        dtype: of activations on the wire; None leaves them as they come.
        communicates: False makes exchanges that send nothing.
    """

    def own(length: int) -> slice:
        size = length // group.size()
        return slice(group.rank() * size, (group.rank() + 1) * size)

    for name, parameter in list(net.named_parameters()):
        layer, _, kind = name.rpartition(".")
        part = parameter.detach()[own(len(parameter))].clone()
        setattr(net.get_submodule(layer), kind, nn.Parameter(part))
    for module in net.children():
        if isinstance(module, Dropout):
            module.part = own(module.units)
    for exchange, _ in net.table.exchanges():
        net.set_submodule(exchange.name, TowerExchange(group, dtype, exchange.logits, communicates))


def whole(part: Tensor, group: ProcessGroup) -> Tensor:
    """The one-device tensor of which every rank of a group holds its part along dim 0. Collective."""
    part = part.contiguous()
    parts = [torch.empty_like(part) for _ in range(group.size())]
    dist.all_gather(parts, part, group=group)
    return torch.cat(parts)
