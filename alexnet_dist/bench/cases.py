"""What is measured against what, and how good it should be on two CPU cores."""

from dataclasses import dataclass

FASHION = ("--net.name", "alexnet_fashion")
OF_2012 = ("--net.name", "alexnet_2012", "--data.name", "synthetic", "--optim.name", "sgd", "--optim.lr", "0.01")
# Long enough for ten checkpoints, whatever --steps says.
SMALL = ("--net.name", "alexnet_small", "--train.max_steps", "500", "--train.epochs", "2")


@dataclass(frozen=True)
class Ours:
    """A training run of this program, started as a user would."""

    ranks: int
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """A program of `bench.baselines`."""

    name: str
    ranks: int = 1


@dataclass(frozen=True)
class Case:
    """A ratio of two rates, ours over the other's.

    Attributes:
        name: what is asked.
        ours, against: the two programs, run in turn.
        must, aim: the ratio that there must be, and the one that is aimed at.
        scale: turns our images per second into the other's unit.
    """

    name: str
    ours: Ours
    against: Ours | Baseline
    must: float
    aim: float
    scale: float = 1.0


def cases(flops_of_2012: int) -> list[Case]:
    """All cases.

    Args:
        flops_of_2012: operations of one trained image of alexnet_2012.
    """
    single, split = Ours(1, (*OF_2012, "--strategy.name", "single")), Ours(2, (*OF_2012, "--strategy.name", "split"))
    ddp = (*OF_2012, "--strategy.name", "ddp")
    no_norm = Ours(1, (*OF_2012, "--strategy.name", "single", "--net.norm", "false"))
    return [
        Case("from real images / the tutorials' loop", Ours(1, FASHION), Baseline("tutorial"), 2.0, 2.3),
        Case("alexnet_2012 / the machine's matrix rate", single, Baseline("matrix"), 0.62, 0.80, scale=flops_of_2012),
        Case("with response norm / without", single, no_norm, 0.80, 0.91),
        Case("our loop / a bare loop", Ours(1, (*FASHION, "--net.dropout", "0")), Baseline("bare"), 0.97, 1.0),
        Case("split / single", split, single, 0.95, 1.0),
        Case("ddp, fp32 gradients / single", Ours(2, ddp), single, 0.80, 0.95),
        Case("ddp, bf16 gradients / single", Ours(2, (*ddp, "--strategy.gradient_dtype", "bf16")), single, 0.88, 0.95),
        Case(
            "ten checkpoints in 500 steps / none",
            Ours(1, (*SMALL, "--checkpoint.every_steps", "49")),
            Ours(1, SMALL),
            0.95,
            1.0,
        ),
        Case(
            "ddp / the usual Accelerate loop",
            Ours(2, ("--net.name", "alexnet_owt", "--strategy.name", "ddp")),
            Baseline("usual", ranks=2),
            1.15,
            1.4,
        ),
    ]
