"""Runs `fsdp`: torch's `fully_shard` on a mesh of our own (Accelerate's FSDP is silently DDP on a CPU)."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import final

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory
from alexnet_dist.costs.shard_sizes import has_a_row_for_each, row_shards
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.mesh import SampleShard, World
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import wire_dtype
from alexnet_dist.strategies.engines.base import Dtypes, Engine, MakeOptimizer, Masks, StepResult, StepSums, held_bytes
from alexnet_dist.strategies.parts.passes import accumulate, evaluated
from alexnet_dist.strategies.parts.state import live_state, part_of, set_steps

_REPLICATE, _SHARD = "replicate", "shard"


@final
class FsdpEngine(Engine):
    _module: nn.Module
    _net: AlexNet
    _sharded: dict[str, nn.Parameter]
    _parts: dict[str, nn.Parameter]
    _counts: dict[Tensor, Tensor]
    _optimizer: Optimizer

    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        settings = experiment.strategy
        self.world = world
        self.samples = SampleShard(world.rank, world.size, tuple(range(world.size)))
        self._dtypes = dtypes
        self._shards = settings.shard_ranks or world.size
        self._mesh = _mesh(world, self._shards)
        self._reshard = settings.reshard_after_forward
        self._micro_batches = experiment.train.accumulate
        self._wire: torch.dtype = getattr(torch, wire_dtype(experiment))

    def groups(self) -> list[ProcessGroup]:
        meshes = {self._mesh, *(_dtensor(parameter).device_mesh for parameter in self._sharded.values())}
        return [group for mesh in meshes for group in mesh.get_all_groups()]

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> None:
        policy = MixedPrecisionPolicy(param_dtype=self._dtypes.compute, reduce_dtype=self._wire)
        # Layer by layer, so that a device never holds the whole net; the net itself last, as the root that the layers
        # look to for their order.
        for layer in (*(child for child in net.children() if list(child.parameters())), net):
            mesh = self._mesh_for(layer)
            fully_shard(layer, mesh=mesh, reshard_after_forward=self._reshard, mp_policy=policy)
        self._net = net
        self._sharded = dict(net.named_parameters())
        self._check_shards(net.table)
        for layer in net.modules():
            if isinstance(layer, FSDPModule):
                # Sums, where the default averages: a loss is already divided by the global batch's count.
                layer.set_gradient_divide_factor(1.0)
                layer.set_force_sum_reduction_for_comms(True)
        # The optimizer works on the local parts, as plain tensors: torch's fused SGD takes no DTensor.
        self._parts = {name: nn.Parameter(_local(sharded)) for name, sharded in self._sharded.items()}
        first = self._mesh[_SHARD].get_local_rank() == 0
        self._counts = {
            part: part.new_tensor(float(first or self._is_cut(self._sharded[name])))
            for name, part in self._parts.items()
        }
        self._optimizer = make_optimizer(self._parts.items(), self._sum_over_parts)
        self._module = accelerator.prepare_model(net, evaluation_mode=True)

    def _mesh_for(self, layer: nn.Module) -> DeviceMesh:
        """The ranks that share a layer: those of a copy, if it has a row for each; else every rank holds it whole."""
        cut = all(self._is_cut(parameter) for parameter in layer.parameters(recurse=False))
        return self._mesh if cut else _mesh(self.world, 1)

    def _is_cut(self, parameter: Tensor) -> bool:
        return has_a_row_for_each(parameter.shape[0], self._shards)

    def _check_shards(self, table: Table) -> None:
        """Compare what this rank holds with its share: a silent fallback to whole copies would go unnoticed."""
        parts = (_local(p) if isinstance(p, DTensor) else p for p in self._sharded.values())
        shares = row_shards(table, self._shards)
        held, share = sum(part.numel() for part in parts), shares.part + shares.whole
        if held > share:
            raise RuntimeError(f"fsdp does not shard: this rank holds {held:,} values, its share is {share:,}")

    def logits(self, images: Tensor) -> Tensor:
        return evaluated(self._module, images)

    def forward_backward(self, batches: Iterable[tuple[MicroBatch, Masks]], count: int) -> StepSums:
        return accumulate(self._module, batches, self._micro_batches, count, self._reducing, torch.Tensor.backward)

    def _reducing(self, last: bool) -> AbstractContextManager[None]:
        # Gradients are scattered in every micro-batch, so that no rank ever holds them whole; the replicas of a part
        # sum their gradients in the last micro-batch only.
        assert isinstance(self._net, FSDPModule)
        self._net.set_requires_all_reduce(last)
        return nullcontext()

    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        norm = None
        for name, part in self._parts.items():
            part.grad = _local(self._gradient(name))
        if max_norm is not None:
            norm = self._norm()
            clip_grads_with_norm_(self._parts.values(), max_norm, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._net.zero_grad()
        return StepResult(norm, None)

    def _norm(self) -> Tensor:
        parts = list(self._parts.values())
        norms = torch._foreach_norm([part.grad for part in parts if part.grad is not None])
        squares = torch.stack(norms).square()
        return self._sum_over_ranks(self._counted(squares, parts).sum()).sqrt()

    def _sum_over_parts(self, squares: Tensor, parts: Sequence[Tensor]) -> Tensor:
        return self._sum_over_ranks(self._counted(squares, parts))

    def _counted(self, squares: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """This rank's terms of a sum over the ranks of a copy; layers that all of them hold count on the first."""
        return squares * torch.stack([self._counts[part] for part in parts])

    def _sum_over_ranks(self, own: Tensor) -> Tensor:
        dist.all_reduce(own, group=self._mesh[_SHARD].get_group())
        return own

    def _gradient(self, name: str) -> Tensor:
        gradient = self._sharded[name].grad
        assert gradient is not None, f"{name} took no part in backward"
        return gradient

    def gradients(self) -> dict[str, Tensor]:
        return {name: _whole(self._gradient(name)) for name in self._sharded}

    def weights(self, *names: str) -> dict[str, Tensor]:
        return {name: _whole(self._sharded[name].detach()) for name in names or self._sharded}

    def state(self) -> dict[str, Tensor]:
        return live_state(self._parts.items(), self._optimizer, self._from_local)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        # `state` shows weights and moments as the live tensors: what was written into them is there already.
        set_steps(self._optimizer, state)

    def _from_local(self, name: str, part: Tensor) -> Tensor:
        sharded = _dtensor(self._sharded[name])
        return part_of(part, sharded.device_mesh, sharded.placements, sharded.shape)

    def held_memory(self) -> Memory:
        gradients = (sharded.grad for sharded in self._sharded.values())
        return Memory(
            held_bytes(_local(sharded) for sharded in self._sharded.values()),
            held_bytes(_local(gradient) for gradient in gradients if gradient is not None),
            held_bytes(value for state in self._optimizer.state.values() for value in state.values()),
        )


@cache
def _mesh(world: World, shards: int) -> DeviceMesh:
    """Ranks as replicas of sharded copies; one copy only is a mesh of one axis. Collective the first time."""
    if shards == world.size:
        return init_device_mesh(world.device.type, (shards,), mesh_dim_names=(_SHARD,))
    shape = (world.size // shards, shards)
    return init_device_mesh(world.device.type, shape, mesh_dim_names=(_REPLICATE, _SHARD))


def _local(tensor: Tensor) -> Tensor:
    part: Tensor = _dtensor(tensor).to_local().detach()
    return part


def _whole(tensor: Tensor) -> Tensor:
    return _dtensor(tensor).full_tensor()


def _dtensor(tensor: Tensor) -> DTensor:
    assert isinstance(tensor, DTensor), "fully_shard makes every parameter a DTensor"
    return tensor
