"""Reads DeepSpeed's flat, padded parts as a state under one-device names, and loads one. Everything here is collective.

A rank gathers one whole parameter at a time, and keeps only its own rows of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.nn import functional

from alexnet_dist.strategies.engines.base import OPTIMIZER, WEIGHT
from alexnet_dist.strategies.parts.state import part_of, set_steps, steps_of


def groups_of(engine: Any) -> list[ProcessGroup]:
    """The process groups that DeepSpeed made."""
    return [engine.seq_data_parallel_group, engine.data_parallel_group]


def flat_copies(engine: Any) -> list[Tensor]:
    """This rank's part of the weights that the optimizer updates, end to end; one for each parameter group."""
    optimizer = engine.optimizer
    if engine.zero_optimization_stage() == 3:
        return list(optimizer.fp32_partitioned_groups_flat)
    return list(optimizer.single_partition_of_fp32_groups)


def create_optimizer_state(engine: Any, made: Mapping[str, Tensor]) -> None:
    """Give the optimizer the state that it would make in its first step, so that there is one to read and to load.

    Args:
        made: the state that the experiment's optimizer has for a whole parameter.
    """
    for flat in flat_copies(engine):
        engine.optimizer.optimizer.state[flat] = {
            kind: torch.zeros_like(flat) if value.dim() else value.to(flat.device).clone()
            for kind, value in made.items()
        }
    if engine.zero_optimization_stage() < 3:
        engine.optimizer._lazy_init_hp_params_optimizer_state()  # else only done after the first step


def read_state(net: nn.Module, engine: Any, mesh: DeviceMesh) -> dict[str, Tensor]:
    """As `Engine.state`: each tensor's rows distributed over the ranks of `mesh`."""
    state: dict[str, Tensor] = {}
    for key, parameter, kind in _entries(net, engine):
        whole = _whole(parameter, kind)
        size = -(-len(whole) // mesh.size())
        rows = whole[mesh.get_local_rank() * size :][:size].clone()
        state[key] = part_of(rows, mesh, [Shard(0)], whole.shape)
    return {**state, **steps_of(engine.optimizer.optimizer)}


def load_state(net: nn.Module, engine: Any, state: Mapping[str, Tensor]) -> None:
    """As `Engine.load_state`."""
    for key, parameter, kind in _entries(net, engine):
        value = state[key]
        assert isinstance(value, DTensor), "`read_state` makes DTensors"
        _put(parameter, value.full_tensor(), kind)
    set_steps(engine.optimizer.optimizer, state)
    if engine.zero_optimization_stage() < 3:
        engine.optimizer.update_lp_params()


def _entries(net: nn.Module, engine: Any) -> Iterator[tuple[str, nn.Parameter, str | None]]:
    """Names in the state, and what they are: a parameter and the kind of its optimizer state, None for itself."""
    states = engine.optimizer.optimizer.state
    kinds = [kind for kind, value in states[flat_copies(engine)[0]].items() if value.dim()]
    for name, parameter in net.named_parameters():
        yield WEIGHT + name, parameter, None
        for kind in kinds:
            yield f"{OPTIMIZER}{kind}.{name}", parameter, kind


def _whole(parameter: nn.Parameter, kind: str | None) -> Tensor:
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    if kind is None:
        return safe_get_full_fp32_param(parameter)
    return safe_get_full_optimizer_state(parameter, kind)


def _put(parameter: nn.Parameter, whole: Tensor, kind: str | None) -> None:
    from deepspeed import utils

    part: Tensor | None = getattr(parameter, "ds_tensor", None)
    if part is None:
        if kind is None:
            utils.safe_set_full_fp32_param(parameter, whole)
        else:
            utils.safe_set_full_optimizer_state(parameter, whole, kind)
        return
    # Stage 3 sets whole parameters only where they divide into equal parts: give it this rank's part, padded.
    ranks, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    padded = functional.pad(whole.flatten(), (0, ranks * part.numel() - whole.numel()))
    own = padded[rank * part.numel() :][: part.numel()]
    if kind is None:
        utils.safe_set_local_fp32_param(parameter, own)
        part.data.copy_(own)
    else:
        utils.safe_set_local_optimizer_state(parameter, own, kind)
