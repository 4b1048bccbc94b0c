"""Whether each case is the same training as one process: one fp32 step from the same weights, gradient by gradient.

A strategy is judged with fp32 on the wire, as `alexnet-dist parity` judges it. A case that sends gradients in bf16 is
traced a second time with them, and must stay within what rounding can explain.
"""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from alexnet_dist.compare.cases import Case, case_flags
from alexnet_dist.compare.config import Comparison
from alexnet_dist.costs.units import counted
from alexnet_dist.errors import RunFailed
from alexnet_dist.launcher.processes import Launcher
from alexnet_dist.parity.measure import TraceRequest, measure, read_differences
from alexnet_dist.parity.verdict import judge
from alexnet_dist.telemetry.run_files import read_json, write_json

Key = TypeVar("Key")

BF16_ROUNDING = 2.0**-9  # bf16 keeps 8 significant bits: rounding moves a value by at most this much of itself
MOST_ROUNDING = 3.5


def wire_tolerance(ranks: int) -> float:
    """How far gradients that were summed in bf16 over that many ranks may be from those summed in fp32.

    A ring adds one rank's share after the other and rounds each partial sum. Independent errors add up as the root of
    their number: 0.6 to 0.9 sqrt(N) roundings of the sum for random shares, more where shares partly cancel. A fixed
    limit would reject correct runs with many ranks. From some hundred ranks on, equal shares become too small to change
    the sum: then the run is wrong, and is rejected.
    """
    return MOST_ROUNDING * BF16_ROUNDING * math.sqrt(ranks)


@dataclass(frozen=True)
class CaseParity:
    """How far the first step's gradients are from one process's, ||a - b|| / ||b|| of the worst tensor.

    Attributes:
        gradient: with fp32 on the wire.
        where: the worst tensor.
        rounded: with the case's own wire dtype, where that is coarser.
        same: whether it is the same training.
        failure: why nothing is known; the other fields then mean nothing.
    """

    gradient: float = 0.0
    where: str = ""
    rounded: float | None = None
    same: bool = False
    failure: str | None = None


class ParityChecker:
    """Judges cases and stores the verdicts in the comparison's folder.

    Args:
        launcher: starts the ranks.
        progress: called with a line of text before each group of cases.
    """

    def __init__(self, comparison: Comparison, launcher: Launcher, progress: Callable[[str], None]) -> None:
        self.comparison = comparison
        self.launcher = launcher
        self.progress = progress
        self.folder = comparison.folder / "parity"

    def check(self, cases: Sequence[Case]) -> None:
        """Judge cases. Where ranks fail, the reason is stored instead of a verdict."""
        if not cases:
            return
        self.progress("parity: the gradients of one process")
        batches = sorted({case.global_batch for case in cases})
        wanted = {batch: [TraceRequest(self._reference_flags(batch), 1)] for batch in batches}
        references = self._measure(wanted, 1, "reference")
        for ranks in sorted({case.ranks for case in cases}):
            self.progress(f"parity: on {counted(ranks, 'rank')}")
            self._check_group([case for case in cases if case.ranks == ranks], ranks, references)
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def _reference_flags(self, batch: int) -> list[str]:
        return [*case_flags(self.comparison, Case("single", None, 1, batch, batch, None)), "--train.precision", "fp32"]

    def _check_group(self, cases: list[Case], ranks: int, references: Mapping[int, list[Path] | str]) -> None:
        """Judge cases that one launch can trace.

        Args:
            references: by global batch, one process's trace, or why there is none.
        """
        found, wanted = dict[Case, CaseParity](), dict[Case, list[TraceRequest]]()
        for case in cases:
            reference = references[case.global_batch]
            if isinstance(reference, str):
                found[case] = CaseParity(failure=f"one process: {reference}")
            else:
                wanted[case] = [TraceRequest(flags, 1, reference[0]) for flags in parity_flags(self.comparison, case)]
        for case, outputs in self._measure(wanted, ranks, "cases").items():
            found[case] = CaseParity(failure=outputs) if isinstance(outputs, str) else _judge(case, outputs)
        for case, parity in found.items():
            _store(self.comparison, case, parity)

    def _measure(
        self, wanted: Mapping[Key, Sequence[TraceRequest]], ranks: int, name: str
    ) -> dict[Key, list[Path] | str]:
        """Trace the requests of all keys in one launch; if it fails, each key's by itself, to find which one failed.

        Returns:
            By key, the files of its requests, or the reason why there are none.
        """
        if not wanted:
            return {}
        folder = self.folder / "work" / f"{name}-{ranks}x-{len(wanted)}"
        folder.mkdir(parents=True, exist_ok=True)
        launcher = replace(self.launcher, log=self.comparison.folder / "logs" / f"parity-{name}-{ranks}x.log")
        try:
            requests = [request for several in wanted.values() for request in several]
            outputs = iter(measure(requests, ranks, folder, launcher.launch))
            return {key: [next(outputs) for _ in several] for key, several in wanted.items()}
        except RunFailed as failed:
            if len(wanted) == 1:
                return dict.fromkeys(wanted, str(failed))
        found = dict[Key, list[Path] | str]()
        for number, (key, several) in enumerate(wanted.items()):
            found |= self._measure({key: several}, ranks, f"{name}-{number}")
        return found


def parity_flags(comparison: Comparison, case: Case) -> list[list[str]]:
    """Flags of the case's traces: with fp32 on the wire, then with its own wire dtype where that is coarser."""
    own = [*case_flags(comparison, case), "--train.precision", "fp32"]
    return [own] if case.gradient_dtype in (None, "fp32") else [[*own, "--strategy.gradient_dtype", "fp32"], own]


def _judge(case: Case, outputs: Sequence[Path]) -> CaseParity:
    exact, *rounded = [
        judge(case.strategy, case.ranks, read_differences(path), "fp32", case.global_batch) for path in outputs
    ]
    gradient = exact.worst["gradient"]
    wire = rounded[0].worst["gradient"].difference if rounded else None
    # NaN is within no tolerance: every comparison with it is false.
    same = exact.same and (wire is None or wire <= wire_tolerance(case.ranks))
    return CaseParity(gradient.difference, gradient.where, wire, same)


def _path(comparison: Comparison, case: Case) -> Path:
    return comparison.folder / "parity" / f"{case.label}.json"


def _store(comparison: Comparison, case: Case, parity: CaseParity) -> None:
    write_json(_path(comparison, case), {"flags": parity_flags(comparison, case), "verdict": asdict(parity)})


def read_parity(comparison: Comparison, case: Case) -> CaseParity | None:
    """The case's verdict; None where it was not judged, or under other settings."""
    stored = read_json(_path(comparison, case))
    if stored is None or stored.get("flags") != parity_flags(comparison, case):
        return None
    try:
        return CaseParity(**stored["verdict"])
    except (KeyError, TypeError):  # another version's
        return None


def is_judged(comparison: Comparison, case: Case) -> bool:
    """Whether the case has a verdict, and not merely a reason why there is none."""
    parity = read_parity(comparison, case)
    return parity is not None and parity.failure is None
