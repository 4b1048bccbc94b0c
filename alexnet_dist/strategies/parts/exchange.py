"""Exchanges between towers: collectives that autograd can go through.

In forward, every rank contributes its own maps and receives all. In backward, an interior exchange gives each tower the
sum of all towers' gradients for its maps; the last one, before a loss that every rank computes in full, gives it only
its own slice (a sum there would count the loss once per rank).
"""

from functools import reduce
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.distributed import ProcessGroup

# torch 2.14 renamed these two and warns about the old names, which are all that torch 2.11 has.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


def _dense(x: Tensor) -> Tensor:
    """The same values as a tensor that is contiguous in its own dim order: images channels-last, so (B, H, W, C)."""
    return x.movedim(1, -1).contiguous() if x.dim() == 4 else x.contiguous()


class _Gather(torch.autograd.Function):
    """All towers' channels from each tower's; `sums` selects one of the two backward rules."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, group: ProcessGroup, sums: bool) -> Tensor:
        ctx.group, ctx.sums = group, sums  # type: ignore[attr-defined]
        dense = _dense(x)
        parts = dense.new_empty((group.size(), *dense.shape))
        _all_gather(parts.flatten(0, 1), dense, group=group)
        return torch.cat(parts.unbind(0), -1).movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        group: ProcessGroup = ctx.group
        if not ctx.sums:
            return gradient.chunk(group.size(), 1)[group.rank()], None, None
        parts = torch.stack(_dense(gradient).chunk(group.size(), -1))
        return _sum_scattered(parts, group).movedim(-1, 1), None, None


def _sum_scattered(parts: Tensor, group: ProcessGroup) -> Tensor:
    """This rank's part, summed over ranks; every rank gives a (ranks, …) tensor, a part for each."""
    if dist.get_backend(group) != "gloo":
        own = torch.empty_like(parts[0])
        _reduce_scatter(own, parts.flatten(0, 1), group=group)
        return own
    # Gloo's reduce-scatter is an all-reduce inside and moves twice the bytes.
    received = torch.empty_like(parts)
    dist.all_to_all_single(received, parts, group=group)
    return reduce(torch.add, received.unbind(0))  # bf16: a tenth of the time that sum(0) takes on a CPU


class TowerExchange(nn.Module):
    """Own maps in, all towers' maps out.

    Args:
        group: the ranks of one replica, in tower order.
        dtype: what crosses, both ways; None: as the maps come.
        logits: this is the last exchange, before the loss.
        communicates: False repeats the rank's own maps in place of the others': the same shapes without a collective.
    """

    def __init__(self, group: ProcessGroup, dtype: torch.dtype | None, logits: bool, communicates: bool) -> None:
        super().__init__()
        self.group = group
        self.dtype = dtype
        self.logits = logits
        self.communicates = communicates

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype or x.dtype)
        if not self.communicates:
            return torch.cat([x] * self.group.size(), 1)
        gathered: Tensor = _Gather.apply(x, self.group, not self.logits)
        return gathered
