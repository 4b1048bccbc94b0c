"""DeepSpeed's ZeRO: data parallelism whose ranks each keep a part of the optimiser's state (stage 1), of the gradients
too (stage 2), and of the weights as well (stage 3).

DeepSpeed owns backward, clipping and the update; here is how the loop's words translate into its own.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any, ClassVar, final

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin, convert_outputs_to_fp32
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.memory import Memory, held_bytes, state_values
from alexnet_dist.distributed.mesh import World, arrange
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.alexnet import AlexNet
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.parts import zero_state
from alexnet_dist.strategies.base import About, AcceleratorOptions, Dtypes, MakeOptimizer, StepResult, Strategy
from alexnet_dist.strategies.parts.deepspeed_config import engine_config
from alexnet_dist.strategies.parts.settings import WIRE, check_engine, without_effect

_GROUPS = 2  # of the optimiser: weights and biases
_FP32 = 4  # bytes: DeepSpeed keeps the weights that it updates in fp32
_CPU_WANTED = "ACCELERATE_USE_CPU"


class _Plugin(DeepSpeedPlugin):
    def set_deepspeed_weakref(self) -> None:
        """Does nothing: it tells the library `transformers`, of which no net is used here, and needs it installed."""


def _settle_device() -> None:
    """Let DeepSpeed and Accelerate agree on what is there.

    Raises:
        UsageError: the CPU is wanted beside a GPU, which DeepSpeed would take.
    """
    if torch.cuda.is_available():
        if os.environ.get(_CPU_WANTED, "false").lower() == "true":
            raise UsageError(
                _CPU_WANTED, "true", "DeepSpeed takes the GPU that it sees: export CUDA_VISIBLE_DEVICES= as well"
            )
        return
    # There is nothing else here, and Accelerate would give up DeepSpeed without a word and train as plain DDP.
    os.environ.pop(_CPU_WANTED, None)
    os.environ["DS_ACCELERATOR"] = "cpu"  # read at import: it would guess the same, with a warning
    import deepspeed.ops

    # Serves inference alone, but DeepSpeed would compile it at start-up: so neither a compiler nor ninja is needed.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


class ZeroStrategy(Strategy):
    """Everything but the stage."""

    split_size = 1
    stage: ClassVar[int]

    _engine: Any  # deepspeed.DeepSpeedEngine
    _net: AlexNet

    @classmethod
    def check(cls, experiment: Experiment, table: Table, world_size: int) -> None:
        check_engine(experiment, world_size)
        if experiment.train.precision == "fp64":
            raise UsageError(
                "train.precision", "fp64", "DeepSpeed updates weights in fp32: use fp32, or another strategy"
            )

    @classmethod
    def warnings(cls, experiment: Experiment, world_size: int) -> list[str]:
        return without_effect(experiment, {"gradient_dtype", "offload_optimizer"})

    @classmethod
    def accelerator_options(cls, experiment: Experiment, world_size: int) -> AcceleratorOptions:
        config = engine_config(experiment, cls.stage, world_size, os.environ)
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
        self.layout = arrange(world)
        self.dtypes = dtypes
        self._accumulate = experiment.train.accumulate
        self._norm_itemsize = 8 if self.stage == 3 and not experiment.strategy.offload_optimizer else 4
        self._wire = WIRE[experiment.strategy.gradient_dtype or "fp32"]

    def place(self, net: AlexNet, make_optimizer: MakeOptimizer, accelerator: Accelerator) -> nn.Module:
        device = self.layout.world.device
        if self.dtypes.compute != self.dtypes.parameters:
            computing = torch.autocast(device.type, self.dtypes.compute)(net.forward)
            net.forward = convert_outputs_to_fp32(computing)  # type: ignore[method-assign]
        optimizer = make_optimizer(net.named_parameters())
        made: dict[str, Tensor] = next(iter(optimizer.state.values()), {})
        optimizer.state.clear()  # of whole parameters: DeepSpeed puts its parts in their place
        self._net = net
        self._engine, _ = accelerator.prepare(net.to(device), optimizer)
        zero_state.fill(self._engine, made)
        return self._engine

    def micro_batch_context(self, last: bool) -> AbstractContextManager[None]:
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

    def state(self) -> dict[str, Tensor]:
        return zero_state.show(self._net, self._engine, self._mesh)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        zero_state.take(self._net, self._engine, state)

    @property
    def _mesh(self) -> DeviceMesh:
        assert self.layout.mesh is not None, "there are several ranks"
        return self.layout.mesh["dp"]

    def _by_name(self, read: Callable[[nn.Parameter], Tensor]) -> dict[str, Tensor]:
        return {name: read(parameter) for name, parameter in self._net.named_parameters()}

    def _gradient(self, parameter: nn.Parameter) -> Tensor:
        from deepspeed.utils import safe_get_full_grad

        if self.stage < 3:
            # Stage 1 leaves in `grad` what this rank has computed, summed or not: the parts tell the truth.
            return parameter.get_full_hp_grad()  # type: ignore[attr-defined]
        return safe_get_full_grad(parameter)

    def expected_traffic(self, table: Table, samples: int, clips: bool) -> dict[str, int]:
        ranks = self.layout.dp_size
        cut, others = _cut_values(table, ranks, self.stage), ranks - 1

        def passed(times: int, values: int, itemsize: int) -> int:
            return times * values * itemsize * others // ranks

        # The norm, clipped or not: a value for each parameter group.
        norm = {"all_reduce": passed(2, _GROUPS, self._norm_itemsize)}
        if self.stage == 3:
            gathers = 2 * self._accumulate  # for forward, and again for backward
            scattered = passed(self._accumulate, cut, self._wire.itemsize)
            return {"all_gather": passed(gathers, cut, _FP32), "reduce_scatter": scattered, **norm}
        times = self._accumulate if self.stage == 2 else 1
        reduced = passed(times, table.parameters, self._wire.itemsize)
        return {"reduce": reduced, "all_gather": passed(1, cut, _FP32), **norm}

    @classmethod
    def expected_memory(cls, experiment: Experiment, table: Table, world_size: int, dtypes: Dtypes) -> Memory:
        whole = _cut_values(table, world_size, cls.stage) * _FP32
        part = whole // world_size
        copy_and_state = (1 + state_values(experiment.optim)) * part
        if cls.stage == 3:
            return Memory(part, part, copy_and_state)
        # Stage 1 sums over ranks in the last micro-step only, and until then keeps what it has.
        accumulates = cls.stage == 1 and experiment.train.accumulate > 1
        gradients = table.parameters if accumulates else _touched_values(table, world_size)
        return Memory(whole, gradients * _FP32, copy_and_state)

    def held_memory(self) -> Memory:
        engine, parameters = self._engine.optimizer, list(self._net.parameters())
        weights = [getattr(parameter, "ds_tensor", parameter) for parameter in parameters]
        copies = zero_state.flat_copies(self._engine)
        parts = [part for group in engine.averaged_gradients.values() for part in group or ()]
        state = [value for values in engine.optimizer.state.values() for value in values.values()]
        return Memory(
            held_bytes(weights), held_bytes([*parts, *(p.grad for p in parameters)]), held_bytes([*copies, *state])
        )


def _groups(table: Table) -> tuple[list[int], list[int]]:
    """Values of each parameter in the optimiser's groups: weights, biases."""
    shapes = [site.weight for site in table.shaped_layers() if site.weight]
    return [prod(shape) for shape in shapes], [shape[0] for shape in shapes]


def _cut_values(table: Table, ranks: int, stage: int) -> int:
    """Values of the whole net as DeepSpeed lays them out, padded so that every rank's part is as long."""
    if stage == 3:  # each parameter for itself
        return sum(_padded(values, ranks) for group in _groups(table) for values in group)
    return sum(_padded(sum(group), 2 * ranks) for group in _groups(table))


def _padded(values: int, multiple: int) -> int:
    return -(-values // multiple) * multiple


def _touched_values(table: Table, ranks: int) -> int:
    """Values of the gradients that stages 1 and 2 keep on the fullest rank: of each parameter that its part touches,
    however little, the whole."""
    kept = [0] * ranks
    for group in _groups(table):
        part, start = _padded(sum(group), 2 * ranks) // ranks, 0
        for values in group:
            for rank in range(start // part, (start + values - 1) // part + 1):
                kept[rank] += values
            start += values
    return max(kept)


@final
class Zero1(ZeroStrategy):
    name = "zero1"
    stage = 1
    about = About(
        splits="the batch, optimiser state",
        moves="gradients once, weights once: 2(N-1)/N W",
        needs="DeepSpeed; two ranks or more; no fp64",
        right_where="optimiser state is what does not fit",
    )


@final
class Zero2(ZeroStrategy):
    name = "zero2"
    stage = 2
    about = About(
        splits="the batch, state and gradients",
        moves="as zero1, gradients in every micro-step",
        needs="DeepSpeed; two ranks or more; no fp64",
        right_where="as zero1, accumulating over micro-steps",
    )


@final
class Zero3(ZeroStrategy):
    name = "zero3"
    stage = 3
    about = About(
        splits="the batch, state, gradients, weights",
        moves="weights twice, gradients once a micro-step: 3(N-1)/N W",
        needs="DeepSpeed; two ranks or more; no fp64",
        right_where="the net does not fit on a device; state on the host by offload_optimizer",
    )
