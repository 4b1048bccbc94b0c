"""Fully sharded data parallelism.

Every rank keeps a part of each parameter, its gradient and its optimizer state, and layers are gathered whole just
while they compute.

With fewer `shard_ranks` than ranks it is hybrid: neighbouring ranks share one copy of the net, and copies are replicas.
A layer with fewer rows than a copy has ranks is not cut: every rank holds it whole, as under `ddp`.
"""

from typing import final

from alexnet_dist import registry
from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.collectives import added, sent_by_all_reduce, sent_once
from alexnet_dist.costs.memory import Memory, even_memory
from alexnet_dist.costs.shard_sizes import row_shards
from alexnet_dist.errors import UsageError
from alexnet_dist.nets.table import Table
from alexnet_dist.strategies.base import Strategy, norm_bytes, wire_bytes
from alexnet_dist.strategies.check import check_sharded


@final
class Fsdp(Strategy):
    name = "fsdp"
    splits = "the batch, weights, gradients and state"
    moves = "weights twice, gradients once: 3(N-1)/N W"
    needs = "two ranks or more"
    right_where = "the net does not fit on a device; shard_ranks within a node keeps traffic there"
    engine = "alexnet_dist.strategies.engines.fsdp:FsdpEngine"
    used = ("gradient_dtype", "shard_ranks", "reshard_after_forward")

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        check_sharded(experiment, world_size)
        wanted = experiment.strategy.shard_ranks
        if wanted is not None and world_size % wanted:
            remedy = f"{world_size} ranks do not divide into groups of {wanted}"
            raise UsageError("strategy.shard_ranks", wanted, remedy)

    def placement_warnings(self, experiment: Experiment, world_size: int, local_world_size: int) -> list[str]:
        given, local = experiment.strategy.shard_ranks, local_world_size
        if local == world_size or local % (given or world_size) == 0:
            return []
        spans = "all ranks share one copy of the net" if given is None else f"the {given} ranks of a copy span machines"
        better = f": --strategy.shard_ranks {local} gathers it within a machine" if local > 1 else ""
        return [f"strategy.shard_ranks: {spans}, and layers are gathered over the network{better}"]

    def traffic(
        self, experiment: Experiment, table: Table, world_size: int, samples: int, backend: str
    ) -> dict[str, int]:
        precision, accumulate = precision_of(experiment), experiment.train.accumulate
        shards = experiment.strategy.shard_ranks or world_size
        held = row_shards(table, shards)
        whole = shards * held.part
        gathers = accumulate * (2 if experiment.strategy.reshard_after_forward else 1)
        reduced = sent_by_all_reduce(held.part * wire_bytes(experiment), world_size // shards)
        reduced += sent_by_all_reduce(held.whole * wire_bytes(experiment), world_size)
        reduced += sent_by_all_reduce(norm_bytes(experiment, table), shards)
        return added(
            {
                "all_gather": sent_once(gathers * whole * precision.compute_bytes, shards),
                "reduce_scatter": sent_once(accumulate * whole * wire_bytes(experiment), shards),
                "all_reduce": reduced,
            }
        )

    def memory(self, experiment: Experiment, table: Table, world_size: int) -> Memory:
        held = row_shards(table, experiment.strategy.shard_ranks or world_size)
        return even_memory(experiment.optim, (held.part + held.whole) * precision_of(experiment).parameter_bytes)


registry.strategies.register(Fsdp())
