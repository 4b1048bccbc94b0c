"""Is it the same training? Strategies against one process, tensor by tensor.

    alexnet-dist parity --net.name alexnet_2012 --strategies ddp,split --ranks 2,4 --train.precision fp64 --steps 10

The measure is ||a - b|| / ||b|| per tensor, b being the one process's. An elementwise comparison means nothing where a
value is near zero.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.processes import launch
from alexnet_dist.parity.worker import Comparison
from alexnet_dist.training.wiring import check

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


def judge(strategy: str, ranks: int, compared: Comparison, precision: str) -> Verdict:
    """Whether what was compared is the same training."""
    worst = {kind: _worst(differences) for kind, differences in compared.differences.items()}
    tolerance, kinds = TOLERANCES[precision]
    return Verdict(strategy, ranks, worst, all(worst[kind].difference <= tolerance for kind in kinds))


def _worst(differences: Mapping[str, float]) -> Worst:
    # NaN compares as nothing: it must come out as the worst of all.
    where = max(differences, key=lambda name: math.inf if math.isnan(differences[name]) else differences[name])
    return Worst(differences[where], where)


@dataclass(frozen=True)
class Case:
    """One experiment to probe.

    Attributes:
        flags: of the experiment.
        steps: to train.
        reference: the probe to compare with; None keeps the probe itself.
    """

    flags: Sequence[str]
    steps: int
    reference: Path | None = None


def measure(
    cases: Sequence[Case], ranks: int, folder: Path, start: Callable[[int, Sequence[str]], None] = launch
) -> list[Path]:
    """TrainingTrace experiments, all in one launch of `ranks` ranks.

    Args:
        start: starts ranks with a program and waits for them.

    Returns:
        In the cases' order: a probe's file, or a comparison's where there is a reference.

    Raises:
        RunFailed: the ranks failed.
    """
    outputs = [folder / f"probe-{ranks}-{i}" for i in range(len(cases))]
    listed = [
        {**asdict(case), "reference": case.reference and str(case.reference), "output": str(output)}
        for case, output in zip(cases, outputs, strict=True)
    ]
    cases_file = folder / f"cases-{ranks}.json"
    cases_file.write_text(json.dumps(listed))
    start(ranks, ["-m", "alexnet_dist.parity.worker", str(cases_file)])
    return outputs


def read_comparison(path: Path) -> Comparison:
    return Comparison(**json.loads(path.read_text()))


def run(flags: Sequence[str]) -> int:
    """`alexnet-dist parity`: 0 where every strategy gives the same training, else 1."""
    options, rest = _own_options(flags)
    strategies, rank_counts = options["strategies"].split(","), [int(n) for n in options["ranks"].split(",")]
    experiment = resolve(load([*rest, "--strategy.name", "single"]), 1)
    for ranks in rank_counts:
        for strategy in strategies:
            check(resolve(load([*rest, "--strategy.name", strategy]), ranks), ranks)
    verdicts, steps = [], int(options["steps"])
    with TemporaryDirectory(prefix="alexnet-parity-") as folder:
        (reference,) = measure([Case([*rest, "--strategy.name", "single"], steps)], 1, Path(folder))
        for ranks in rank_counts:
            cases = [Case([*rest, "--strategy.name", strategy], steps, reference) for strategy in strategies]
            for strategy, path in zip(strategies, measure(cases, ranks, Path(folder)), strict=True):
                verdicts.append(judge(strategy, ranks, read_comparison(path), experiment.train.precision))
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
                raise UsageError(word, "", "needs a value")
            options[word[2:]] = words.pop(0)
        else:
            rest.append(word)
    for name, numbers in (("ranks", options["ranks"].split(",")), ("steps", [options["steps"]])):
        if not all(number.isdecimal() and 1 <= int(number) <= 10_000 for number in numbers):
            raise UsageError(f"--{name}", options[name], "must be a whole number from 1 (--ranks: several, as in 2,4)")
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
