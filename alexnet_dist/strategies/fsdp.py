"""Fully sharded data parallelism: every rank keeps a part of each parameter, its gradient and its optimiser state, and
layers are gathered whole just while they compute (torch's `fully_shard`).

With fewer `shard_ranks` than ranks it is hybrid: neighbouring ranks share one copy of the net, and copies are replicas.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from math import prod
from typing import final

import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory, held_bytes, optimizer_bytes
from alexnet_dist.distributed.mesh import World, arrange
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import About, AcceleratorOptions, Dtypes, MakeOptimizer, StepResult, Strategy
from alexnet_dist.strategies.parts.settings import WIRE, check_engine, without_effect
from alexnet_dist.strategies.parts.state import live_state, part_of, set_steps

_REPLICATE, _SHARD = "replicate", "shard"


@final
class Fsdp(Strategy):
    name = "fsdp"
    split_size = 1
    about = About(
        splits="the batch, weights, gradients and state",
        moves="weights twice, gradients once: 3(N-1)/N W",
        needs="two ranks or more",
        right_where="the net does not fit on a device; shard_ranks within a node keeps traffic there",
    )

    _net: AlexNet
    _sharded: dict[str, nn.Parameter]
    _parts: dict[str, nn.Parameter]
    _optimizer: Optimizer

    @classmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        check_engine(experiment, world_size)
        wanted = experiment.strategy.shard_ranks
        if wanted is not None and world_size % wanted:
            raise UsageError(
                "strategy.shard_ranks", wanted, f"{world_size} ranks do not divide into groups of {wanted}"
            )

    @classmethod
    def warnings(cls, experiment: Experiment, world_size: int) -> list[str]:
        return without_effect(experiment, {"gradient_dtype", "shard_ranks", "reshard_after_forward"})

    @classmethod
    def accelerator_options(cls, experiment: Experiment, world_size: int) -> AcceleratorOptions:
        # Accelerate's own FSDP is silently DDP on a CPU: here torch's is applied to a mesh of ours.
        return AcceleratorOptions()

    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        settings = experiment.strategy
        self.layout = arrange(world)
        self.dtypes = dtypes
        self._mesh = _mesh(world, settings.shard_ranks or world.size)
        self._reshard = settings.reshard_after_forward
        self._accumulate = experiment.train.accumulate
        self._wire = dtypes.parameters if settings.gradient_dtype is None else WIRE[settings.gradient_dtype]

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> nn.Module:
        policy = MixedPrecisionPolicy(param_dtype=self.dtypes.compute, reduce_dtype=self._wire)
        # Layer by layer, so that a device never holds the whole net; the net itself last, as the root that the layers
        # look to for their order.
        for layer in (*(child for child in net.children() if list(child.parameters())), net):
            fully_shard(layer, mesh=self._mesh, reshard_after_forward=self._reshard, mp_policy=policy)
        self._net = net
        self._sharded = dict(net.named_parameters())
        self._check_shards(net.table)
        for layer in net.modules():
            if isinstance(layer, FSDPModule):
                # Sums, where the default averages: a loss is already divided by the global batch's count.
                layer.set_gradient_divide_factor(1.0)
                layer.set_force_sum_reduction_for_comms(True)
        # The optimiser works on the local parts, as plain tensors: torch's fused SGD takes no DTensor.
        self._parts = {name: nn.Parameter(_local(sharded)) for name, sharded in self._sharded.items()}
        self._optimizer = make_optimizer(self._parts.items())
        return accelerator.prepare_model(net, evaluation_mode=True)

    def _check_shards(self, table: Table) -> None:
        """Hold what this rank really has against its share: an engine that falls back to whole copies says nothing."""
        parts = (_local(p) if isinstance(p, DTensor) else p for p in self._sharded.values())
        held, share = sum(part.numel() for part in parts), sum(_own_values(table, self._shards))
        if held > share:
            raise RuntimeError(f"fsdp does not shard: this rank holds {held:,} values, its share is {share:,}")

    @property
    def _shards(self) -> int:
        return self._mesh[_SHARD].size()

    @property
    def _replicas(self) -> int:
        return self._mesh.size() // self._shards

    @property
    def _shard_group(self) -> ProcessGroup:
        return self._mesh[_SHARD].get_group()

    def micro_batch_context(self, last: bool) -> AbstractContextManager[None]:
        # Gradients are scattered in every micro-step, so that no rank ever holds them whole; replicas of a part add
        # theirs up in the last one only.
        assert isinstance(self._net, FSDPModule)
        self._net.set_requires_all_reduce(last)
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

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
        # Each rank of a copy holds other values: squares add up over them.
        square = get_total_norm(part.grad for part in self._parts.values() if part.grad is not None).square()
        dist.all_reduce(square, group=self._shard_group)
        return square.sqrt()

    def _gradient(self, name: str) -> Tensor:
        gradient = self._sharded[name].grad
        assert gradient is not None, f"{name} took no part in backward"
        return gradient

    def gradients(self) -> dict[str, Tensor]:
        return {name: _whole(self._gradient(name)) for name in self._sharded}

    def weights(self) -> dict[str, Tensor]:
        return {name: _whole(sharded.detach()) for name, sharded in self._sharded.items()}

    def state(self) -> dict[str, Tensor]:
        return live_state(self._parts.items(), self._optimizer, self._shown)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        # Weights and moments are shown as the live tensors: what was written into them is there already.
        set_steps(self._optimizer, state)

    def _shown(self, name: str, part: Tensor) -> Tensor:
        placements = [Shard(0)] if self._mesh.ndim == 1 else [Replicate(), Shard(0)]
        return part_of(part, self._mesh, placements, self._sharded[name].shape)

    def expected_traffic(self, table: Table, samples: int, clips: bool) -> dict[str, int]:
        shards, replicas = self._shards, self._replicas
        # Dim 0 is cut into equal parts: where it does not divide, padding travels, too.
        values = shards * sum(_own_values(table, shards))
        gathers = self._accumulate * (2 if self._reshard else 1)
        expected = {
            "all_gather": gathers * values * self.dtypes.compute.itemsize * (shards - 1) // shards,
            "reduce_scatter": self._accumulate * values * self._wire.itemsize * (shards - 1) // shards,
        }
        reduced = 2 * values // shards * self._wire.itemsize * (replicas - 1) // replicas
        if clips:
            reduced += 2 * self.dtypes.parameters.itemsize * (shards - 1) // shards
        return {**expected, "all_reduce": reduced} if reduced else expected

    @classmethod
    def expected_memory(cls, experiment: Experiment, table: Table, world_size: int, dtypes: Dtypes) -> Memory:
        shards = experiment.strategy.shard_ranks or world_size
        part = sum(_own_values(table, shards)) * dtypes.parameters.itemsize
        return Memory(part, part, optimizer_bytes(experiment.optim, part))

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
    assert isinstance(tensor, DTensor), "fully_shard makes every parameter a DTensor"
    part: Tensor = tensor.to_local().detach()
    return part


def _whole(tensor: Tensor) -> Tensor:
    assert isinstance(tensor, DTensor)
    return tensor.full_tensor()


def _rows(rows: int, shards: int) -> int:
    """Of dim 0, what each rank is given; the last ones may get less."""
    return -(-rows // shards)


def _own_values(table: Table, shards: int) -> Iterator[int]:
    """Values of each weight and bias that the rank with most of them holds."""
    for site in table.shaped_layers():
        if site.weight:
            rows = _rows(site.weight[0], shards)
            yield rows * prod(site.weight[1:])
            yield rows
