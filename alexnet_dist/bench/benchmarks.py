"""The benchmarks: which two programs each compares."""

from dataclasses import dataclass

from alexnet_dist.bench.programs import Baseline, MatrixRate, Program, TrainingRun
from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.costs.operations import training_operations

FASHION = ("--net.name", "alexnet_fashion")
OF_2012 = ("--net.name", "alexnet_2012", "--data.name", "synthetic", "--optim.name", "sgd", "--optim.lr", "0.01")
# Enough steps for ten checkpoints, whatever --steps says.
SMALL = ("--net.name", "alexnet_small", "--train.max_steps", "500", "--train.epochs", "2")


@dataclass(frozen=True)
class Benchmark:
    """A ratio of two rates: this program's over another's.

    Attributes:
        name: the two sides, in words.
        ours, other: the two programs, run in turn.
        scale: converts our images per second to the other's unit.
    """

    name: str
    ours: Program
    other: Program
    scale: float = 1.0

    @property
    def ranks(self) -> int:
        return max(self.ours.ranks, self.other.ranks)


def benchmarks() -> list[Benchmark]:
    """All benchmarks, in the order in which they run."""
    operations = training_operations(table_of(resolve(load(list(OF_2012)), 1).net))
    single = TrainingRun(1, (*OF_2012, "--strategy.name", "single"))
    split = TrainingRun(2, (*OF_2012, "--strategy.name", "split"))
    ddp = TrainingRun(2, (*OF_2012, "--strategy.name", "ddp"))
    ddp_bf16 = TrainingRun(2, (*ddp.flags, "--strategy.gradient_dtype", "bf16"))
    no_norm = TrainingRun(1, (*single.flags, "--net.norm", "false"))
    owt = TrainingRun(2, ("--net.name", "alexnet_owt", "--strategy.name", "ddp"))
    small, checkpoints = TrainingRun(1, SMALL), TrainingRun(1, (*SMALL, "--checkpoint.every_steps", "49"))
    no_dropout = TrainingRun(1, (*FASHION, "--net.dropout", "0"))
    return [
        Benchmark("from real images / the tutorials' loop", TrainingRun(1, FASHION), Baseline("tutorial")),
        Benchmark("alexnet_2012 / the machine's matrix rate", single, MatrixRate(), scale=operations),
        Benchmark("with response norm / without", single, no_norm),
        Benchmark("our loop / a bare loop", no_dropout, Baseline("bare")),
        Benchmark("split / single", split, single),
        Benchmark("ddp, fp32 gradients / single", ddp, single),
        Benchmark("ddp, bf16 gradients / single", ddp_bf16, single),
        Benchmark("ten checkpoints in 500 steps / none", checkpoints, small),
        Benchmark("ddp / the usual Accelerate loop", owt, Baseline("usual", ranks=2)),
    ]
