"""A strategy from outside the package: data parallelism that runs all forwards of a step and then all its backwards.

Its facts and its engine share a file, so torch is imported with the plugin; an engine in a module of its own, named in
`engine`, would be imported only by ranks that train under it.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch.nn import functional

from alexnet_dist.config.precisions import precision_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.costs.collectives import added, sent_by_all_reduce
from alexnet_dist.costs.memory import Memory, even_memory
from alexnet_dist.data.loader import MicroBatch
from alexnet_dist.nets.table import Table
from alexnet_dist.registry import strategies
from alexnet_dist.strategies.base import Strategy
from alexnet_dist.strategies.check import refuse_one_rank
from alexnet_dist.strategies.engines.base import Masks, StepSums
from alexnet_dist.strategies.engines.module import ModuleEngine


class Toy(Strategy):
    name = "toy"
    splits = "the batch"
    moves = "gradients, summed: 2(N-1)/N W"
    needs = "two ranks or more"
    right_where = "never"
    engine = "toy_strategy:ToyEngine"

    def check(self, experiment: Experiment, table: Table, world_size: int) -> None:
        refuse_one_rank(self.name, world_size)

    def traffic(
        self, experiment: Experiment, table: Table, world_size: int, samples: int, backend: str
    ) -> dict[str, int]:
        gradients = table.parameters * precision_of(experiment).parameter_bytes
        return added({"all_reduce": sent_by_all_reduce(gradients, world_size)})

    def memory(self, experiment: Experiment, table: Table, world_size: int) -> Memory:
        return even_memory(experiment.optim, table.parameters * precision_of(experiment).parameter_bytes)


class ToyEngine(ModuleEngine):
    """Forward 1, forward 2, …, backward 1, backward 2, …, and then one sum over the replicas."""

    def forward_backward(self, batches: Iterable[tuple[MicroBatch, Masks]], count: int) -> StepSums:
        # DDP sums in the first backward after its last forward, which is too early: so it never does, and the sum is
        # taken here.
        with self.synchronised(last=False):
            outputs = [(self.module(batch.images, masks), batch.labels) for batch, masks in batches]
            losses = [functional.cross_entropy(logits, labels, reduction="sum") for logits, labels in outputs]
            for loss in losses:
                self.backward(loss / count)
        for parameter in self.module.parameters():
            assert parameter.grad is not None
            dist.all_reduce(parameter.grad, group=self.layout.dp_group)
        correct = [(logits.detach().argmax(1) == labels).sum() for logits, labels in outputs]
        return StepSums(torch.stack([loss.detach() for loss in losses]).sum(), torch.stack(correct).sum())


strategies.register(Toy())
