"""Is it the same training? Strategies against one process, tensor by tensor.

    alexnet-dist parity --net.name alexnet_2012 --strategies ddp,split --ranks 2,4 --train.precision fp64 --steps 10

The measure is ||a - b|| / ||b|| per tensor, b being the one process's. An elementwise comparison means nothing where a
value is near zero.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from torch import Tensor

from alexnet_dist.config.experiment import Experiment, resolve
from alexnet_dist.config.sources import load
from alexnet_dist.errors import Refusal
from alexnet_dist.launcher import launch
from alexnet_dist.training.probe import Probe
from alexnet_dist.training.setup import check

# What must hold, by precision: fp64 over all steps; coarser arithmetic on the first step's gradients only, since later
# steps drift apart in any correct program.
EVERYTHING, GRADIENTS = ("loss", "gradient", "weight"), ("gradient",)
TOLERANCES: dict[str, tuple[float, tuple[str, ...]]] = {
    "fp64": (1e-12, EVERYTHING),
    "fp32": (1e-5, GRADIENTS),
    "tf32": (1e-2, GRADIENTS),
    "bf16": (3e-2, GRADIENTS),
    "fp16": (1e-2, GRADIENTS),
}


@dataclass(frozen=True)
class Worst:
    """The largest difference of a kind, and where it is."""

    difference: float
    where: str


@dataclass(frozen=True)
class Verdict:
    """One strategy on one number of ranks, against one process.

    Attributes:
        worst: by kind ("loss", "gradient", "weight").
        same: whether what must hold for the precision holds.
    """

    strategy: str
    ranks: int
    worst: Mapping[str, Worst]
    same: bool


def difference(ours: Tensor, reference: Tensor) -> float:
    """||ours - reference|| / ||reference||, in fp64; absolute where the reference is zero."""
    norm = float(reference.double().norm())
    return float((ours.double() - reference.double()).norm()) / (norm or 1.0)


def judge(strategy: str, ranks: int, ours: Probe, reference: Probe, precision: str) -> Verdict:
    """Hold one probe against the one process's."""
    losses = enumerate(zip(ours.losses, reference.losses, strict=True), start=1)
    worst = {
        "loss": _worst({f"step {step}": abs(a - b) / abs(b) for step, (a, b) in losses}),
        "gradient": _worst({n: difference(ours.gradients[n], b) for n, b in reference.gradients.items()}),
        "weight": _worst({n: difference(ours.weights[n], b) for n, b in reference.weights.items()}),
    }
    tolerance, kinds = TOLERANCES[precision]
    return Verdict(strategy, ranks, worst, all(worst[kind].difference <= tolerance for kind in kinds))


def _worst(differences: Mapping[str, float]) -> Worst:
    # NaN compares as nothing: it must come out as the worst of all.
    where = max(differences, key=lambda name: math.inf if math.isnan(differences[name]) else differences[name])
    return Worst(differences[where], where)


def measure(flags: Sequence[Sequence[str]], steps: int, ranks: int, folder: Path) -> list[Path]:
    """Probe experiments, all in one launch of `ranks` ranks.

    Returns:
        The probes' files, in the experiments' order.

    Raises:
        Refusal: an experiment was refused.
        RunFailed: the ranks failed.
    """
    outputs = [folder / f"probe-{ranks}-{i}.pt" for i in range(len(flags))]
    cases = [{"flags": list(f), "steps": steps, "output": str(o)} for f, o in zip(flags, outputs, strict=True)]
    cases_file = folder / f"cases-{ranks}.json"
    cases_file.write_text(json.dumps(cases))
    launch(ranks, ["-m", "alexnet_dist.training.probe", str(cases_file)])
    return outputs


def run(flags: Sequence[str]) -> int:
    """`alexnet-dist parity`: 0 where every strategy gives the same training, else 1."""
    options, rest = _own_options(flags)
    strategies, rank_counts = options["strategies"].split(","), [int(n) for n in options["ranks"].split(",")]
    experiment = resolve(load([*rest, "--strategy.name", "single"]), 1)
    for ranks in rank_counts:
        for strategy in strategies:
            check(resolve(load([*rest, "--strategy.name", strategy]), ranks), ranks)
    verdicts = []
    with TemporaryDirectory(prefix="alexnet-parity-") as folder:
        steps = int(options["steps"])
        (one,) = measure([[*rest, "--strategy.name", "single"]], steps, 1, Path(folder))
        reference = Probe.read(one)
        for ranks in rank_counts:
            cases = [[*rest, "--strategy.name", strategy] for strategy in strategies]
            for strategy, path in zip(strategies, measure(cases, steps, ranks, Path(folder)), strict=True):
                verdicts.append(judge(strategy, ranks, Probe.read(path), reference, experiment.train.precision))
                path.unlink()
    show(experiment, verdicts, steps)
    return 0 if all(verdict.same for verdict in verdicts) else 1


def _own_options(flags: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split this command's own options from the experiment's flags."""
    options, rest = {"strategies": "ddp,split", "ranks": "2", "steps": "10"}, list[str]()
    words = [word for flag in flags for word in (flag.split("=", 1) if flag.startswith("--") else [flag])]
    while words:
        word = words.pop(0)
        if word[2:] in options and word.startswith("--"):
            if not words:
                raise Refusal(word, "", "needs a value")
            options[word[2:]] = words.pop(0)
        else:
            rest.append(word)
    for name, numbers in (("ranks", options["ranks"].split(",")), ("steps", [options["steps"]])):
        if not all(number.isdecimal() and 1 <= int(number) <= 10_000 for number in numbers):
            raise Refusal(f"--{name}", options[name], "must be a whole number from 1 (--ranks: several, as in 2,4)")
    return options, rest


def show(experiment: Experiment, verdicts: Sequence[Verdict], steps: int) -> None:
    """Print the verdicts as a table."""
    tolerance, kinds = TOLERANCES[experiment.train.precision]
    table = Table(title=f"{experiment.net.name}, {experiment.train.precision}, {steps} steps, against one process")
    for column in ("strategy", "ranks", "worst loss", "gradient of step 1", "last weight", "verdict"):
        table.add_column(column)
    for verdict in verdicts:
        cells = [f"{w.difference:.1e}\n{w.where}" for w in verdict.worst.values()]
        said = "[green]same[/]" if verdict.same else "[red]DIFFERS[/]"
        table.add_row(verdict.strategy, str(verdict.ranks), *cells, said)
    console = Console()
    console.print(table)
    console.print(
        f"must hold: {', '.join(kinds)} within {tolerance:.0e} (||a - b|| / ||b|| per tensor)", highlight=False
    )
