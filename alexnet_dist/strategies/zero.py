"""DeepSpeed's ZeRO: data parallelism whose ranks each keep a part of the optimiser's state (stage 1), of the gradients
too (stage 2), and of the weights as well (stage 3).

DeepSpeed owns backward, clipping and the update; here is how the loop's words translate into its own.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any, ClassVar, final

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin
from torch import Tensor, nn

from alexnet_dist.config.experiment import Experiment
from alexnet_dist.errors import Refusal
from alexnet_dist.layout.layout import World, arrange
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import Dtypes, EngineOptions, MakeOptimizer, StepResult, Strategy
from alexnet_dist.strategies.deepspeed_config import engine_config
from alexnet_dist.strategies.memory import Memory, held_bytes, state_values
from alexnet_dist.strategies.settings import WIRE, needs_several_ranks, without_effect

_FP32 = 4  # bytes: DeepSpeed keeps the weights that it updates in fp32


class _Plugin(DeepSpeedPlugin):
    def set_deepspeed_weakref(self) -> None:
        """Does nothing: it tells the library `transformers`, of which no net is used here, and needs it installed."""


class ZeroStrategy(Strategy):
    """Everything but the stage."""

    split_size = 1
    stage: ClassVar[int]

    _engine: Any  # deepspeed.DeepSpeedEngine
    _net: AlexNet

    @classmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        needs_several_ranks(cls.name, world_size)
        precision = experiment.train.precision
        if precision == "fp64":
            raise Refusal("train.precision", precision, "DeepSpeed updates weights in fp32: use fp32, or another strategy")
        if precision == "fp16":
            raise Refusal("train.precision", precision, f"{cls.name} computes in fp32, tf32 or bf16 here: use bf16")

    @classmethod
    def warnings(cls, experiment: Experiment, world_size: int) -> list[str]:
        return without_effect(experiment, {"gradient_dtype", "offload_optimizer"})

    @classmethod
    def engine_options(cls, experiment: Experiment, world_size: int) -> EngineOptions:
        config = engine_config(experiment, cls.stage, world_size, os.environ)
        if not torch.cuda.is_available():
            os.environ["DS_ACCELERATOR"] = "cpu"
        # Checked above, key by key; Accelerate would refuse a config file's fields even where they say the same.
        os.environ.pop("ACCELERATE_CONFIG_DS_FIELDS", None)
        settings = {
            "cpu": False,  # Accelerate gives up DeepSpeed without a word where it is told that this is a CPU
            "deepspeed_plugin": _Plugin(hf_ds_config=config, zero3_init_flag=False),
            "gradient_accumulation_steps": experiment.train.accumulate,
            "mixed_precision": "no",  # DeepSpeed's own would make the weights half precision: autocast is added below
        }
        return EngineOptions(settings, frozenset({"ACCELERATE_USE_DEEPSPEED"}))

    def __init__(self, experiment: Experiment, world: World, dtypes: Dtypes) -> None:
        self.layout = arrange(world)
        self.dtypes = dtypes
        self._accumulate = experiment.train.accumulate
        self._wire = WIRE[experiment.strategy.gradient_dtype or "fp32"]

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> nn.Module:
        device = self.layout.world.device
        if self.dtypes.compute != self.dtypes.parameters:
            net.forward = torch.autocast(device.type, self.dtypes.compute)(net.forward)  # type: ignore[method-assign]
        optimizer = make_optimizer(net.named_parameters())
        optimizer.state.clear()  # of whole parameters: DeepSpeed puts its parts in their place
        self._net = net
        self._engine, _ = accelerator.prepare(net.to(device), optimizer)
        return self._engine

    def micro_step(self, last: bool) -> AbstractContextManager[None]:
        self._last = last
        self._engine.set_gradient_accumulation_boundary(last)
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        # DeepSpeed averages over ranks; our losses are shares of the global batch's mean, to be summed.
        self._engine.backward(loss * self.layout.dp_size, scale_wrt_gas=False)
        if not self._last:
            self._engine.step()  # counts the micro-step, no more

    def apply(self, rates: Mapping[str, float], max_norm: float | None) -> StepResult:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        if max_norm is None or norm is None:
            return StepResult(None, None)
        return StepResult(torch.as_tensor(norm, device=self.layout.world.device), None)

    def gradients(self) -> dict[str, Tensor]:
        return self._by_name(self._gradient)

    def weights(self) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_fp32_param

        return self._by_name(safe_get_full_fp32_param)

    def _by_name(self, read: Callable[[nn.Parameter], Tensor]) -> dict[str, Tensor]:
        return {name: read(parameter) for name, parameter in self._net.named_parameters()}

    def _gradient(self, parameter: nn.Parameter) -> Tensor:
        from deepspeed.utils import safe_get_full_grad

        if self.stage < 3:
            # Stage 1 leaves in `grad` what this rank has computed, summed or not: the parts tell the truth.
            return parameter.get_full_hp_grad()  # type: ignore[attr-defined]
        return safe_get_full_grad(parameter)

    def expected_traffic(self, table: Table, samples: int, clips: bool) -> dict[str, int]:
        return {}

    @classmethod
    def expected_memory(cls, experiment: Experiment, table: Table, world_size: int, dtypes: Dtypes) -> Memory:
        return Memory(0, 0, 0)

    def held_memory(self) -> Memory:
        return Memory(0, 0, 0)


@final
class Zero1(ZeroStrategy):
    name = "zero1"
    stage = 1


@final
class Zero2(ZeroStrategy):
    name = "zero2"
    stage = 2


@final
class Zero3(ZeroStrategy):
    name = "zero3"
    stage = 3
