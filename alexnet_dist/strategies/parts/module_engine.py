"""The strategies that are plain torch modules on a `dp` x `split` mesh: towers cut over one axis, replicated over
the other."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory, held_bytes, optimizer_bytes
from alexnet_dist.distributed.mesh import World, arrange
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import (
    AcceleratorOptions,
    Dtypes,
    MakeOptimizer,
    StepResult,
    Strategy,
)
from alexnet_dist.strategies.parts.loss_scale import LossScale
from alexnet_dist.strategies.parts.replicas import expected_reduction, replicate
from alexnet_dist.strategies.parts.settings import WIRE, without_effect
from alexnet_dist.strategies.parts.state import live_state, set_steps
from alexnet_dist.strategies.parts.towers import cut, expected_exchanges, whole


class ModuleStrategy(Strategy):
    """Everything but the question which worlds are allowed."""

    _net: AlexNet
    _module: nn.Module
    _optimizer: Optimizer
    _replicas: DistributedDataParallel | None = None

    @classmethod
    def accelerator_options(cls, experiment: Experiment, world_size: int) -> AcceleratorOptions:
        return AcceleratorOptions()

    @classmethod
    def warnings(cls, experiment: Experiment, world_size: int) -> list[str]:
        dtype = experiment.strategy.gradient_dtype
        found = without_effect(experiment, {"gradient_dtype", "communicate"})
        if dtype is not None and world_size == cls.split_size:
            found.append(f"strategy.gradient_dtype: {dtype} has no effect: there is one replica, no gradient travels")
        if not experiment.strategy.communicate:
            found.append("strategy.communicate: false: NOTHING IS SENT, this run measures and its training is WRONG")
        return found

    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        self.layout = arrange(world, self.split_size)
        self.dtypes = dtypes
        self._communicates = experiment.strategy.communicate
        wanted = experiment.strategy.gradient_dtype
        # fp16 alone has too few exponents for small gradients.
        self._scale = LossScale(world.device) if dtypes.compute == torch.float16 else None
        self._wire = dtypes.parameters if wanted is None else WIRE[wanted]

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> nn.Module:
        # The order matters: parameters are cut on the host, so that a device never holds the whole net, and DDP
        # takes hold of the parameters where they finally lie.
        if self.layout.split_size > 1:
            cut(net, self.layout, self.dtypes.compute, self._communicates)
        net.to(device=self.layout.world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net = net
        module: nn.Module = net
        if self.layout.dp_size > 1:
            module = self._replicas = replicate(net, self.layout, self._wire)
        self._optimizer = make_optimizer(net.named_parameters())
        # Accelerate adds autocast; "evaluation mode" keeps it from wrapping the whole world in a second DDP, which
        # would average different towers together.
        return accelerator.prepare_model(module, evaluation_mode=True)

    def micro_batch_context(self, last: bool) -> AbstractContextManager[None]:
        talks = last and self._communicates
        return nullcontext() if talks or self._replicas is None else self._replicas.no_sync()

    def backward(self, loss: Tensor) -> None:
        (loss if self._scale is None else loss * self._scale.factor).backward()

    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        norm = skipped = None
        if self._scale is not None:
            scaled_norm, factor = self._norm(), self._scale.factor
            norm, skipped = scaled_norm / factor, self._scale.update(scaled_norm)
            # Fused optimisers divide gradients by the one and heed the other, on the device.
            self._optimizer.grad_scale, self._optimizer.found_inf = factor, skipped  # type: ignore[attr-defined]
        elif max_norm is not None:
            norm = self._norm()
        if norm is not None and max_norm is not None:
            clip_grads_with_norm_(self._net.parameters(), max_norm, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self._optimizer.step()
        self._optimizer.zero_grad()
        return StepResult(norm, skipped)

    def _norm(self) -> Tensor:
        norm = get_total_norm(self._gradient(name) for name, _ in self._net.named_parameters())
        if self.layout.split_size > 1 and self._communicates:
            # Each rank of a replica holds other parameters: squares add up over them.
            square = norm.square()
            dist.all_reduce(square, group=self.layout.split_group)
            norm = square.sqrt()
        return norm

    def _gradient(self, name: str) -> Tensor:
        gradient = self._net.get_parameter(name).grad
        assert gradient is not None, f"{name} took no part in backward"
        return gradient

    def gradients(self) -> dict[str, Tensor]:
        factor = 1.0 if self._scale is None else self._scale.factor
        return {name: self._whole(self._gradient(name)) / factor for name, _ in self._net.named_parameters()}

    def weights(self) -> dict[str, Tensor]:
        return {name: self._whole(parameter.detach()) for name, parameter in self._net.named_parameters()}

    def state(self) -> dict[str, Tensor]:
        state = live_state(self._net.named_parameters(), self._optimizer, self._shown)
        return state if self._scale is None else {**state, **self._scale.state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        # Weights and moments are shown as the live tensors: what was written into them is there already.
        if self._scale is not None:
            self._scale.load_state(state)
        set_steps(self._optimizer, state)

    def _shown(self, _: str, part: Tensor) -> Tensor:
        """A part as what it is a part of: each tower holds its chunk along dim 0, replicas hold the same."""
        mesh = self.layout.mesh
        if mesh is None or self.layout.split_size == 1:
            return part
        return DTensor.from_local(part, mesh, [Replicate(), Shard(0)], run_check=False)

    def _whole(self, part: Tensor) -> Tensor:
        return whole(part, self.layout) if self.layout.split_size > 1 else part

    def expected_traffic(self, table: Table, samples: int, clips: bool) -> dict[str, int]:
        layout, expected = self.layout, dict[str, int]()
        if not self._communicates:
            return expected
        if layout.split_size > 1:
            crossing = expected_exchanges(table, layout, samples, self.dtypes.compute)
            back = "all_to_all" if dist.get_backend(layout.split_group) == "gloo" else "reduce_scatter"
            expected = {"all_gather": crossing["forward"], back: crossing["backward"]}
        reduced = expected_reduction(table.parameters // layout.split_size, layout, self._wire)
        if (clips or self._scale is not None) and layout.split_size > 1:
            reduced += 2 * self.dtypes.parameters.itemsize * (layout.split_size - 1) // layout.split_size
        return {**expected, "all_reduce": reduced} if reduced else expected

    @classmethod
    def expected_memory(cls, experiment: Experiment, table: Table, world_size: int, dtypes: Dtypes) -> Memory:
        part = table.parameters // cls.split_size * dtypes.parameters.itemsize
        return Memory(part, part, optimizer_bytes(experiment.optim, part))

    def held_memory(self) -> Memory:
        return Memory(
            held_bytes(self._net.parameters()),
            held_bytes(parameter.grad for parameter in self._net.parameters()),
            held_bytes(value for state in self._optimizer.state.values() for value in state.values()),
        )
