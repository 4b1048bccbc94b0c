"""Runs `zero1` to `zero3`: DeepSpeed owns backward, clipping and the update; this is the adapter to it."""

import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, final

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin, convert_outputs_to_fp32
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh

from alexnet_dist import registry
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.distributed.bring_up import AcceleratorOptions
from alexnet_dist.distributed.devices import own_device
from alexnet_dist.distributed.launched_rank import USE_CPU, launched_rank
from alexnet_dist.distributed.mesh import World, arrange
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.strategies.engines.base import Dtypes, Engine, MakeOptimizer, Masks, StepResult, StepSums, held_bytes
from alexnet_dist.strategies.parts import zero_state
from alexnet_dist.strategies.parts.deepspeed_config import engine_config
from alexnet_dist.strategies.parts.passes import accumulate, evaluated


class _Plugin(DeepSpeedPlugin):
    def set_deepspeed_weakref(self) -> None:
        """Does nothing: the original registers with the library `transformers`, which is not needed here."""


def _settle_device() -> None:
    """Make DeepSpeed and Accelerate use the same device."""
    if torch.cuda.is_available():
        # DeepSpeed takes GPU number LOCAL_RANK, which does not exist where each rank sees only its own.
        os.environ["LOCAL_RANK"] = str(own_device(launched_rank(os.environ).local_rank).index)
        return
    # Without a GPU the variable has one effect: Accelerate would drop DeepSpeed silently and train as plain DDP.
    os.environ.pop(USE_CPU, None)
    os.environ["DS_ACCELERATOR"] = "cpu"  # read at import: it would guess the same, with a warning
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else it makes torch count GPUs whose driver is too old for torch
    import deepspeed.ops

    # Only for inference, but DeepSpeed would compile it at start-up: without it neither a compiler nor ninja is needed.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


@final
class ZeroEngine(Engine):
    _engine: Any  # deepspeed.DeepSpeedEngine
    _net: AlexNet

    @classmethod
    def accelerator_options(cls, experiment: Experiment, world_size: int) -> AcceleratorOptions:
        config = engine_config(experiment, _stage(experiment), world_size, os.environ)
        if find_spec("deepspeed") is None:
            remedy = "needs DeepSpeed, which is not installed: pip install deepspeed (on Linux), or use fsdp"
            raise UsageError("strategy.name", experiment.strategy.name, remedy)
        _settle_device()
        # DeepSpeed calls collectives by names that torch 2.14 has replaced, in every step.
        warnings.filterwarnings("ignore", r"`torch.distributed\.\w+` is deprecated", FutureWarning)
        # Checked above, key by key; Accelerate would refuse a config file's fields even where they say the same.
        os.environ.pop("ACCELERATE_CONFIG_DS_FIELDS", None)
        settings = {
            "cpu": False,  # see _settle_device
            "deepspeed_plugin": _Plugin(hf_ds_config=config, zero3_init_flag=False),
            "gradient_accumulation_steps": experiment.train.accumulate,
            "mixed_precision": "no",  # DeepSpeed's own would make the weights half precision: autocast is added below
        }
        return AcceleratorOptions(settings, frozenset({"ACCELERATE_USE_DEEPSPEED"}))

    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        self.world = world
        self.layout = arrange(world)
        self.samples = self.layout.samples
        self._dtypes = dtypes
        self._micro_batches = experiment.train.accumulate
        self._stage = _stage(experiment)
        self._keeps_weights = self._stage == 3 and not experiment.strategy.reshard_after_forward

    def groups(self) -> list[ProcessGroup]:
        return [*self.layout.groups, *zero_state.groups_of(self._engine)]

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> None:
        device = self.world.device
        if self._dtypes.compute != self._dtypes.parameters:
            computing = torch.autocast(device.type, self._dtypes.compute)(net.forward)
            net.forward = convert_outputs_to_fp32(computing)  # type: ignore[method-assign]
        optimizer = make_optimizer(net.named_parameters(), lambda squares, _: squares)
        made: dict[str, Tensor] = next(iter(optimizer.state.values()), {})
        optimizer.state.clear()  # of whole parameters: DeepSpeed puts its parts in their place
        self._net = net
        self._engine, _ = accelerator.prepare(net.to(device), optimizer)
        zero_state.create_optimizer_state(self._engine, made)

    def logits(self, images: Tensor) -> Tensor:
        logits = evaluated(self._engine, images)
        if self._keeps_weights:  # for a backward pass, which does not follow
            self._engine.optimizer.empty_partition_cache()
        return logits

    def forward_backward(self, batches: Iterable[tuple[MicroBatch, Masks]], count: int) -> StepSums:
        return accumulate(self._engine, batches, self._micro_batches, count, self._at_boundary, self._backward)

    def _at_boundary(self, last: bool) -> AbstractContextManager[None]:
        self._last = last
        self._engine.set_gradient_accumulation_boundary(last)
        return nullcontext()

    def _backward(self, loss: Tensor) -> None:
        # DeepSpeed averages over ranks; our losses are shares of the global batch's mean, to be summed.
        self._engine.backward(loss * self.world.size, scale_wrt_gas=False)
        if not self._last:
            self._engine.step()  # counts the micro-batch, no more

    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        if max_norm is None or norm is None:
            return StepResult(None, None)
        return StepResult(torch.as_tensor(norm, device=self.world.device), None)

    def gradients(self) -> dict[str, Tensor]:
        return {name: self._gradient(parameter) for name, parameter in self._net.named_parameters()}

    def weights(self, *names: str) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_fp32_param

        parameters = dict(self._net.named_parameters())
        return {name: safe_get_full_fp32_param(parameters[name]) for name in names or parameters}

    def state(self) -> dict[str, Tensor]:
        return zero_state.read_state(self._net, self._engine, self._mesh)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        zero_state.load_state(self._net, self._engine, state)

    @property
    def _mesh(self) -> DeviceMesh:
        assert self.layout.mesh is not None, "there are several ranks"
        return self.layout.mesh["dp"]

    def _gradient(self, parameter: nn.Parameter) -> Tensor:
        from deepspeed.utils import safe_get_full_grad

        if self._stage < 3:
            # Stage 1 leaves this rank's own gradient in `grad`, summed or not: only the parts are reliable.
            return parameter.get_full_hp_grad()  # type: ignore[attr-defined]
        return safe_get_full_grad(parameter)

    def held_memory(self) -> Memory:
        engine, parameters = self._engine.optimizer, list(self._net.parameters())
        weights = [getattr(parameter, "ds_tensor", parameter) for parameter in parameters]
        copies = zero_state.flat_copies(self._engine)
        parts = [part for group in engine.averaged_gradients.values() for part in group or ()]
        state = [value for values in engine.optimizer.state.values() for value in values.values()]
        return Memory(
            held_bytes(weights), held_bytes([*parts, *(p.grad for p in parameters)]), held_bytes([*copies, *state])
        )


def _stage(experiment: Experiment) -> int:
    stage: int = registry.strategies[experiment.strategy.name].stage
    return stage
