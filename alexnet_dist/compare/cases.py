"""The cases of a comparison, and the training runs of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet_dist.compare.config import SET_BY_COMPARE, Comparison
from alexnet_dist.config.load import as_flags, load
from alexnet_dist.config.resolve import resolve
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.launch_line import TRAIN
from alexnet_dist.launcher.processes import Launcher
from alexnet_dist.strategies.check import check_experiment
from alexnet_dist.telemetry.run_files import read_json, write_json

LONGER_RUNS = "longer_runs.json"  # in the comparison's folder


@dataclass(frozen=True)
class Case:
    """One strategy on a number of ranks at one batch.

    Attributes:
        strategy: its name.
        gradient_dtype: of gradients on the wire; None: the strategy's own.
        ranks: processes.
        batch: as the comparison lists it: the global batch, or a rank's under weak scaling.
        global_batch: samples of a step over all ranks.
        error: why it cannot run here; None: it can.
    """

    strategy: str
    gradient_dtype: str | None
    ranks: int
    batch: int
    global_batch: int
    error: str | None

    @property
    def variant(self) -> str:
        """The strategy and its wire dtype, as the user names them."""
        return self.strategy if self.gradient_dtype is None else f"{self.strategy}:{self.gradient_dtype}"

    @property
    def label(self) -> str:
        return f"{self.variant.replace(':', '-')}-{self.ranks}x-b{self.batch}"


@dataclass(frozen=True)
class Run:
    """One run of a case in a round; in a control run, the ranks send each other nothing."""

    case: Case
    round: int
    control: bool = False

    @property
    def name(self) -> str:
        return f"{self.case.label}-{'control' if self.control else 'round'}-{self.round}"


def list_cases(comparison: Comparison) -> list[Case]:
    """Every case once, batch by batch.

    Raises:
        UsageError: none of them can run.
    """
    settings, cases = comparison.compare, list[Case]()
    assert settings.global_batches is not None, "filled in by load_comparison"
    for batch in settings.global_batches:
        for ranks in settings.ranks:
            for variant in settings.strategies:
                strategy, _, dtype = variant.partition(":")
                case = _case(comparison, strategy, dtype or None, ranks, batch)
                if case not in cases:
                    cases.append(case)
    errors = [case.error for case in cases if case.error is not None]
    if len(errors) == len(cases):
        raise UsageError("--strategies", ",".join(settings.strategies), f"none can run here: {errors[0]}")
    return cases


def _case(comparison: Comparison, strategy: str, dtype: str | None, ranks: int, batch: int) -> Case:
    """The case on as many ranks as were asked for, or on one where the strategy takes no more."""
    error = None
    for count in (ranks, 1):
        case = Case(strategy, dtype, count, batch, _global_batch(comparison, count, batch), None)
        try:
            check_experiment(experiment_of(comparison, case), count)
            return case
        except UsageError as found:
            error = error or str(found)
    return Case(strategy, dtype, ranks, batch, _global_batch(comparison, ranks, batch), error)


def _global_batch(comparison: Comparison, ranks: int, batch: int) -> int:
    return batch if comparison.compare.scaling == "strong" else batch * ranks


def shared_flags(comparison: Comparison) -> list[str]:
    """What the user set and all cases share, as flags."""
    flags = as_flags(comparison)
    own = {f"--{name}" for name in SET_BY_COMPARE}
    return [word for pair in zip(flags[::2], flags[1::2], strict=True) if pair[0] not in own for word in pair]


def case_flags(comparison: Comparison, case: Case) -> list[str]:
    """The flags of a case's training."""
    dtype = [] if case.gradient_dtype is None else ["--strategy.gradient_dtype", case.gradient_dtype]
    own = ["--strategy.name", case.strategy, *dtype, "--train.global_batch", str(case.global_batch)]
    return [*shared_flags(comparison), *own]


def run_flags(comparison: Comparison, run: Run) -> list[str]:
    """The flags of one run, in its own folder.

    Trackers are off: they would compete for the cores that are measured. The comparison logs afterwards.
    """
    steps = comparison.compare.warm_up + measured_steps(comparison, run.case)
    own = {
        "--train.max_steps": steps,
        "--train.epochs": steps,  # enough for a data set of any size
        "--train.evaluate": "false",
        "--checkpoint.every_steps": 0,
        "--tracking.with": "[]",
        "--run.dir": run_folder(comparison, run),
        "--run.overwrite": "true",
        **({"--strategy.communicate": "false"} if run.control else {}),
    }
    return [*case_flags(comparison, run.case), *(str(word) for pair in own.items() for word in pair)]


def run_program(comparison: Comparison, run: Run) -> Sequence[str]:
    """The program of a run, as launchers take it."""
    return [*TRAIN, *run_flags(comparison, run)]


def launcher_of(comparison: Comparison, log: str) -> Launcher:
    """The launcher that the settings name; output goes to the comparison's logs/LOG.log."""
    settings = comparison.compare
    return Launcher(settings.start_with, settings.timeout, comparison.folder / "logs" / f"{log}.log")


def measured_steps(comparison: Comparison, case: Case) -> int:
    """Steps of a case's runs after the warm-up: as many as the settings name, or more where those pass quickly."""
    longer = _longer_runs(comparison).get(case.label, {})
    is_same = longer.get("flags") == case_flags(comparison, case)
    return max(comparison.compare.steps, longer.get("steps", 0) if is_same and comparison.compare.seconds else 0)


def set_measured_steps(comparison: Comparison, case: Case, steps: int) -> None:
    """From now on, measure `steps` steps in each run of a case."""
    longer = {"flags": case_flags(comparison, case), "steps": steps}
    write_json(comparison.folder / LONGER_RUNS, {**_longer_runs(comparison), case.label: longer})


def _longer_runs(comparison: Comparison) -> dict[str, Any]:
    return read_json(comparison.folder / LONGER_RUNS) or {}


def run_folder(comparison: Comparison, run: Run) -> Path:
    return comparison.folder / "runs" / run.name


def experiment_of(comparison: Comparison, case: Case, run: Run | None = None) -> Experiment:
    """The resolved experiment of a case, or of one run of it.

    Raises:
        UsageError: fields that contradict each other or the number of ranks.
    """
    flags = case_flags(comparison, case) if run is None else run_flags(comparison, run)
    return resolve(load(flags), case.ranks)


def schedule(comparison: Comparison, cases: Sequence[Case]) -> list[Run]:
    """All runs in the order in which they start: A B C, then C B A, and so on, so that drift of the machine affects all
    cases alike. A control run follows the run that it is compared with; there is none for one rank, nor for a strategy
    that cannot train without communication."""
    runs, runnable = [], [case for case in cases if case.error is None]
    for number in range(1, comparison.compare.rounds + 1):
        for case in runnable if number % 2 else reversed(runnable):
            runs.append(Run(case, number))
            control = Run(case, number, control=True)
            if number <= comparison.compare.control_rounds and case.ranks > 1 and _is_possible(comparison, control):
                runs.append(control)
    return runs


def _is_possible(comparison: Comparison, run: Run) -> bool:
    try:
        check_experiment(experiment_of(comparison, run.case, run), run.case.ranks)
    except UsageError:
        return False
    return True
