"""A strategy's state where parameters and optimizer are plain torch: under one-device names, as the live tensors."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement
from torch.optim import Optimizer

from alexnet_dist.strategies.engines.base import OPTIMIZER, STEPS, WEIGHT


def live_state(
    named: Iterable[tuple[str, Tensor]], optimizer: Optimizer, from_local: Callable[[str, Tensor], Tensor]
) -> dict[str, Tensor]:
    """Weights and what the optimizer keeps for each, for `Engine.state`.

    Args:
        named: this rank's part of each parameter, which the optimizer updates.
        from_local: makes a DTensor of the whole from a parameter's name and a tensor of its part's shape.
    """
    state: dict[str, Tensor] = {}
    for name, held in named:
        state[WEIGHT + name] = from_local(name, held.detach())
        for kind, value in optimizer.state[held].items():
            if value.shape == held.shape:
                state[f"{OPTIMIZER}{kind}.{name}"] = from_local(name, value)
    return {**state, **steps_of(optimizer)}


def steps_of(optimizer: Optimizer) -> dict[str, Tensor]:
    """How often the optimizer has stepped, where it counts."""
    counts = [value["step"] for value in optimizer.state.values() if "step" in value]
    return {STEPS: counts[0].reshape(1).clone()} if counts else {}


def set_steps(optimizer: Optimizer, state: Mapping[str, Tensor]) -> None:
    """The inverse of `steps_of`."""
    for value in optimizer.state.values():
        if "step" in value:
            value["step"].copy_(state[STEPS].reshape(()))


def part_of(part: Tensor, mesh: DeviceMesh, placements: Iterable[Placement], shape: torch.Size) -> DTensor:
    """A rank's part as a DTensor of the whole; the last ranks' parts may be shorter.

    Args:
        shape: of the whole.
    """
    stride = torch.empty(shape, device="meta").stride()
    return DTensor.from_local(part, mesh, tuple(placements), run_check=False, shape=shape, stride=stride)
