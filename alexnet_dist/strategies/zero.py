"""DeepSpeed's ZeRO: data parallelism without keeping everything on every rank.

Each rank keeps a part of the optimizer state (stage 1), of the gradients too (stage 2), and of the weights as well
(stage 3).
"""

from typing import ClassVar, final

from alexnet_dist import registry
from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.collectives import added, sent_by_all_reduce, sent_once
from alexnet_dist.costs.memory import Memory, state_values
from alexnet_dist.costs.shard_sizes import parameter_groups, values_by_parameter, values_flat, values_touched
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import Strategy, wire_bytes
from alexnet_dist.strategies.check import check_sharded
from alexnet_dist.strategies.parts.deepspeed_config import MOST_OWNERS, reduces_to_owners

_FP32 = 4  # bytes: DeepSpeed keeps the weights that it updates in fp32
_FP64 = 8


class ZeroStrategy(Strategy):
    """All but the stage and what follows from it."""

    needs = "DeepSpeed; two ranks or more; no fp64"
    engine = "alexnet_dist.strategies.engines.zero:ZeroEngine"
    used: ClassVar[tuple[str, ...]] = ("gradient_dtype", "offload_optimizer")
    stage: ClassVar[int]

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        check_sharded(experiment, world_size)
        if precision_of(experiment).parameters != "float32":
            remedy = "DeepSpeed updates weights in fp32: use fp32, or another strategy"
            raise UsageError("train.precision", experiment.train.precision, remedy)
        if registry.optimizers[experiment.optim.name].layer_norms:
            remedy = "DeepSpeed gives the optimizer one flat tensor, not layers: use another strategy or optimizer"
            raise UsageError("optim.name", experiment.optim.name, remedy)


def _norm(table: Table, itemsize: int) -> int:
    """Bytes that are summed for the gradient's norm, clipped or not: one value for each parameter group."""
    return len(parameter_groups(table)) * itemsize


class _Flat(ZeroStrategy):
    """Stages 1 and 2: each parameter group is one flat buffer, of which every rank updates a part."""

    def traffic(
        self, experiment: Experiment, table: Table, world_size: int, samples: int, backend: str
    ) -> dict[str, int]:
        reductions = experiment.train.accumulate if self.stage == 2 else 1
        gradients = reductions * table.parameters * wire_bytes(experiment)
        to_owners, to_all = (gradients, 0) if reduces_to_owners(world_size) else (0, gradients)
        return added(
            {
                "reduce": sent_once(to_owners, world_size),
                "all_reduce": sent_by_all_reduce(to_all + _norm(table, _FP32), world_size),
                "all_gather": sent_once(values_flat(table, world_size) * _FP32, world_size),
            }
        )

    def memory(self, experiment: Experiment, table: Table, world_size: int) -> Memory:
        whole = values_flat(table, world_size) * _FP32
        # Stage 1 reduces in the last micro-batch only, and keeps all gradients until then.
        accumulates = self.stage == 1 and experiment.train.accumulate > 1
        gradients = table.parameters if accumulates else values_touched(table, world_size)
        return Memory(whole, gradients * _FP32, (1 + state_values(experiment.optim)) * (whole // world_size))


@final
class Zero1(_Flat):
    name = "zero1"
    stage = 1
    splits = "the batch, optimizer state"
    moves = f"gradients once, weights once: 2(N-1)/N W; above {MOST_OWNERS} ranks 3(N-1)/N W"
    right_where = "optimizer state is what does not fit"


@final
class Zero2(_Flat):
    name = "zero2"
    stage = 2
    splits = "the batch, state and gradients"
    moves = "as zero1, gradients in every micro-batch"
    right_where = "as zero1, accumulating over micro-batches"


@final
class Zero3(ZeroStrategy):
    """Each parameter is padded and cut separately, and gathered for the forward pass and again for backward."""

    name = "zero3"
    stage = 3
    splits = "the batch, state, gradients, weights"
    moves = "weights twice, gradients once a micro-batch: 3(N-1)/N W"
    right_where = "the net does not fit on a device; state on the host by offload_optimizer"
    used = (*ZeroStrategy.used, "reshard_after_forward")

    def traffic(
        self, experiment: Experiment, table: Table, world_size: int, samples: int, backend: str
    ) -> dict[str, int]:
        values, accumulate = values_by_parameter(table, world_size), experiment.train.accumulate
        gathers = accumulate * (2 if experiment.strategy.reshard_after_forward else 1)
        norm_itemsize = _FP32 if experiment.strategy.offload_optimizer else _FP64
        return added(
            {
                "all_gather": sent_once(gathers * values * _FP32, world_size),
                "reduce_scatter": sent_once(accumulate * values * wire_bytes(experiment), world_size),
                "all_reduce": sent_by_all_reduce(_norm(table, norm_itemsize), world_size),
            }
        )

    def memory(self, experiment: Experiment, table: Table, world_size: int) -> Memory:
        part = values_by_parameter(table, world_size) // world_size * _FP32
        return Memory(part, part, (1 + state_values(experiment.optim)) * part)


for _strategy in (Zero1(), Zero2(), Zero3()):
    registry.strategies.register(_strategy)
