"""Is each case the same training as one process? One fp32 step from the shared weights, gradients tensor by tensor.

A strategy is judged with fp32 on the wire. Where a case sends gradients in bf16, a second probe shows what that
rounding does to them, and is judged by what rounding alone can do.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from alexnet_dist.parity import verdict as parity
from alexnet_dist.compare.cases import Case, case_flags
from alexnet_dist.compare.config import Comparison
from alexnet_dist.errors import RunFailed
from alexnet_dist.launcher.processes import Starter
from alexnet_dist.telemetry.run_files import write_json

Key = TypeVar("Key")

TOLERANCE = 1e-4
# bf16 keeps 8 significant bits: rounding moves a value by at most 2^-9 of itself. Each rank's share is rounded, then
# their sum, and shares may be somewhat larger than what is left of them in the sum.
WIRE_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Parity:
    """How far the first step's gradients lie from one process's, ||a - b|| / ||b|| of the worst tensor.

    Attributes:
        gradient: with fp32 on the wire.
        where: which tensor that is.
        rounded: with the case's own wire dtype, where that is coarser.
        same: whether it is the same training.
        failure: why nothing is known; then the rest means nothing.
    """

    gradient: float = 0.0
    where: str = ""
    rounded: float | None = None
    same: bool = False
    failure: str | None = None


class Judge:
    """Probes cases and keeps the verdicts in the comparison's folder.

    Args:
        starter: starts the ranks.
        progress: told which group of cases is probed next.
    """

    def __init__(self, comparison: Comparison, starter: Starter, progress: Callable[[str], None]) -> None:
        self.comparison = comparison
        self.starter = starter
        self.progress = progress
        self.folder = comparison.folder / "parity"

    def judge(self, cases: Sequence[Case]) -> None:
        """Judge cases. A probe that fails is a verdict, too: not known."""
        if not cases:
            return
        batches = sorted({case.global_batch for case in cases})
        self.progress("parity: the gradients of one process")
        lines = {batch: [parity.Case(self._reference_flags(batch), 1)] for batch in batches}
        references = self._measure(lines, 1, "reference")
        key = lambda case: (case.strategy, case.ranks)  # noqa: E731
        for (strategy, ranks), group in groupby(sorted(cases, key=key), key=key):
            self.progress(f"parity: {strategy} x{ranks}")
            self._judge_group(list(group), ranks, references)
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    def _reference_flags(self, batch: int) -> list[str]:
        return [*case_flags(self.comparison, Case("single", None, 1, batch, batch, None)), "--train.precision", "fp32"]

    def _judge_group(self, cases: list[Case], ranks: int, references: Mapping[int, list[Path] | str]) -> None:
        verdicts, lines = dict[Case, Parity](), dict[Case, list[parity.Case]]()
        for case in cases:
            reference = references[case.global_batch]
            if isinstance(reference, str):
                verdicts[case] = Parity(failure=f"one process: {reference}")
            else:
                lines[case] = [parity.Case(flags, 1, reference[0]) for flags in probe_flags(self.comparison, case)]
        for case, outputs in self._measure(lines, ranks, cases[0].strategy).items():
            verdicts[case] = Parity(failure=outputs) if isinstance(outputs, str) else _verdict(case, outputs)
        for case, verdict in verdicts.items():
            _store(self.comparison, case, verdict)

    def _measure(
        self, lines: Mapping[Key, Sequence[parity.Case]], ranks: int, name: str
    ) -> dict[Key, list[Path] | str]:
        """Probe the lines of several keys in one launch; where that fails, each key alone, to see whose fault it was.

        Returns:
            By key the probes' files, or the reason why there are none.
        """
        folder = self.folder / "work" / f"{name}-{ranks}x-{len(lines)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            flat = [line for several in lines.values() for line in several]
            starter = replace(self.starter, log=self.starter.log.with_name(f"parity-{name}-{ranks}x.log"))
            outputs = iter(parity.measure(flat, ranks, folder, starter) if flat else [])
            return {key: [next(outputs) for _ in several] for key, several in lines.items()}
        except RunFailed as failed:
            if len(lines) == 1:
                return dict.fromkeys(lines, str(failed))
        found = dict[Key, list[Path] | str]()
        for number, (key, several) in enumerate(lines.items()):
            found |= self._measure({key: several}, ranks, f"{name}-{number}")
        return found


def probe_flags(comparison: Comparison, case: Case) -> list[list[str]]:
    """Flags of the case's probes: with fp32 on the wire, then with its own wire dtype where that is coarser."""
    own = [*case_flags(comparison, case), "--train.precision", "fp32"]
    return [own] if case.gradient_dtype in (None, "fp32") else [[*own, "--strategy.gradient_dtype", "fp32"], own]


def _verdict(case: Case, outputs: Sequence[Path]) -> Parity:
    exact, *rounded = [
        parity.judge(case.strategy, case.ranks, parity.read_comparison(path), "fp32").worst["gradient"]
        for path in outputs
    ]
    wire = rounded[0].difference if rounded else None
    # NaN is no smaller than anything.
    same = exact.difference <= TOLERANCE and (wire is None or wire <= WIRE_TOLERANCE)
    return Parity(exact.difference, exact.where, wire, same)


def _path(comparison: Comparison, case: Case) -> Path:
    return comparison.folder / "parity" / f"{case.label}.json"


def _store(comparison: Comparison, case: Case, verdict: Parity) -> None:
    write_json(_path(comparison, case), {"flags": probe_flags(comparison, case), "verdict": asdict(verdict)})


def read_verdict(comparison: Comparison, case: Case) -> Parity | None:
    """The case's verdict; None where it was not judged, or under other settings."""
    path = _path(comparison, case)
    if not path.exists():
        return None
    stored = json.loads(path.read_text())
    return Parity(**stored["verdict"]) if stored["flags"] == probe_flags(comparison, case) else None


def is_judged(comparison: Comparison, case: Case) -> bool:
    """Whether there is a verdict that needs no second try."""
    verdict = read_verdict(comparison, case)
    return verdict is not None and verdict.failure is None
