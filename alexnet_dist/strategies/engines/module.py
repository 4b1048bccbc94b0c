"""Runs strategies that are plain torch modules on a `dp` x `split` mesh.

The net is replicated over `dp` and cut over `split`.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.mesh import World, arrange
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import ShapedLayer
from alexnet_dist.strategies.base import strategy_of, wire_dtype
from alexnet_dist.strategies.engines.base import Dtypes, Engine, MakeOptimizer, Masks, StepResult, StepSums, held_bytes
from alexnet_dist.strategies.parts.loss_scale import LossScale
from alexnet_dist.strategies.parts.passes import accumulate, evaluated
from alexnet_dist.strategies.parts.replicas import replicate
from alexnet_dist.strategies.parts.state import live_state, set_steps
from alexnet_dist.strategies.parts.towers import cut, whole


class ModuleEngine(Engine):
    """Computes one micro-batch after the other; a subclass may do so in another order.

    Attributes:
        module: (images, masks) -> logits; replicated and under autocast.
        micro_batches: per step.
        layout: this rank's place on the mesh of replicas and of ranks that share one.
    """

    module: nn.Module
    _parameters: dict[str, nn.Parameter]
    _optimizer: Optimizer
    _replicas: DistributedDataParallel | None = None

    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        self.world = world
        self.micro_batches = experiment.train.accumulate
        self.layout = arrange(world, strategy_of(experiment).split_size)
        self.samples = self.layout.samples
        self._dtypes = dtypes
        self._communicates = experiment.strategy.communicate
        self._compiles = experiment.train.compile
        # Small gradients underflow in fp16; no other precision needs a loss scale.
        self._scale = LossScale(world.device) if dtypes.compute == torch.float16 else None
        self._wire: torch.dtype = getattr(torch, wire_dtype(experiment))

    def groups(self) -> list[ProcessGroup]:
        return self.layout.groups

    def mask_part(self, dropout: ShapedLayer, rows: range) -> tuple[slice, slice]:
        return slice(rows.start, rows.stop), self.layout.part(dropout.outputs[0])

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> None:
        # The order matters: parameters are cut on the host, so that a device never holds the whole net, and DDP
        # registers the final parameters.
        if self.layout.split_size > 1:
            cut(net, self.layout.split_group, self._dtypes.compute, self._communicates)
        net.to(device=self.world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._parameters = dict(net.named_parameters())
        if self._compiles:
            # Inside DDP and autocast. For each batch size: a run has few, and kernels for any size are slower.
            net.forward = torch.compile(net.forward, fullgraph=True, dynamic=False)  # type: ignore[method-assign]
        module: nn.Module = net
        if self.layout.dp_size > 1:
            module = self._replicas = replicate(net, self.layout, self._wire)
        self._optimizer = make_optimizer(net.named_parameters(), lambda squares, _: self._sum_over_parts(squares))
        # Accelerate adds autocast; "evaluation mode" keeps it from wrapping the whole world in a second DDP, which
        # would average different towers together.
        self.module = accelerator.prepare_model(module, evaluation_mode=True)

    def logits(self, images: Tensor) -> Tensor:
        return evaluated(self.module, images)

    def forward_backward(self, batches: Iterable[tuple[MicroBatch, Masks]], count: int) -> StepSums:
        return accumulate(self.module, batches, self.micro_batches, count, self.synchronised, self.backward)

    def synchronised(self, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward of a micro-batch: replicas sum their gradients in the last one only."""
        communicates = last and self._communicates
        return nullcontext() if communicates or self._replicas is None else self._replicas.no_sync()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss: a sum over this shard's samples, over the global batch's count."""
        (loss if self._scale is None else loss * self._scale.factor).backward()

    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        norm = skipped = None
        if self._scale is not None:
            scaled_norm, factor = self._norm(), self._scale.factor
            norm, skipped = scaled_norm / factor, self._scale.update(scaled_norm)
            # On the device, fused optimizers divide gradients by the first and skip the step by the second.
            self._optimizer.grad_scale, self._optimizer.found_inf = factor, skipped  # type: ignore[attr-defined]
        elif max_norm is not None:
            norm = self._norm()
        if norm is not None and max_norm is not None:
            clip_grads_with_norm_(self._parameters.values(), max_norm, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self._optimizer.step()
        self._optimizer.zero_grad()
        return StepResult(norm, skipped)

    def _norm(self) -> Tensor:
        norm = get_total_norm([self._gradient(name) for name in self._parameters])
        return self._sum_over_parts(norm.square()).sqrt()

    def _sum_over_parts(self, own: Tensor) -> Tensor:
        """Summed in place over the ranks of a replica, each of which holds other parameters."""
        if self.layout.split_size > 1 and self._communicates:
            dist.all_reduce(own, group=self.layout.split_group)
        return own

    def _gradient(self, name: str) -> Tensor:
        gradient = self._parameters[name].grad
        assert gradient is not None, f"{name} took no part in backward"
        return gradient

    def gradients(self) -> dict[str, Tensor]:
        factor = 1.0 if self._scale is None else self._scale.factor
        return {name: self._whole(self._gradient(name)) / factor for name in self._parameters}

    def weights(self, *names: str) -> dict[str, Tensor]:
        return {name: self._whole(self._parameters[name].detach()) for name in names or self._parameters}

    def state(self) -> dict[str, Tensor]:
        state = live_state(self._parameters.items(), self._optimizer, self._from_local)
        return state if self._scale is None else {**state, **self._scale.state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        # `state` shows weights and moments as the live tensors: what was written into them is there already.
        if self._scale is not None:
            self._scale.load_state(state)
        set_steps(self._optimizer, state)

    def _from_local(self, _: str, part: Tensor) -> Tensor:
        """A part as a DTensor of the whole: each tower holds its chunk along dim 0, replicas hold the same."""
        mesh = self.layout.mesh
        if mesh is None or self.layout.split_size == 1:
            return part
        return DTensor.from_local(part, mesh, [Replicate(), Shard(0)], run_check=False)

    def _whole(self, part: Tensor) -> Tensor:
        return whole(part, self.layout.split_group) if self.layout.split_size > 1 else part

    def held_memory(self) -> Memory:
        return Memory(
            held_bytes(self._parameters.values()),
            held_bytes(parameter.grad for parameter in self._parameters.values()),
            held_bytes(value for state in self._optimizer.state.values() for value in state.values()),
        )
