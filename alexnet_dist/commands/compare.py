"""`alexnet-dist compare`: from flags to report."""

import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import yaml

from alexnet_dist.compare.cases import Case, plan, run_flags, schedule
from alexnet_dist.compare.config import Comparison, ignored, load_comparison
from alexnet_dist.compare.pairwise import headline, pairwise_results
from alexnet_dist.compare.report import HTML, Conclusion, facts, grids, write_report
from alexnet_dist.compare.results import rows_of
from alexnet_dist.compare.runner import alone, carry_out, starter_of
from alexnet_dist.compare.tables import notes, print_grids
from alexnet_dist.compare.tracking import track
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.processes import TRAIN

SETTINGS = "comparison.yaml"
INTERRUPTED = 130


def run(flags: Sequence[str]) -> int:
    """0 where every case ran and is the same training, 1 where one did not or is not, 130 where it was interrupted."""
    words = [flag for flag in flags if flag != "--print-command"]
    if any(word.partition("=")[0] == "--from" for word in words):
        comparison = _stored(words)
        return conclude(comparison, plan(comparison), log=False)
    comparison = load_comparison(words)
    cases = plan(comparison)
    for line in ignored(comparison):
        print(f"warning: {line}")
    if len(words) < len(flags):
        for todo in schedule(comparison, cases):
            program = [*TRAIN, *run_flags(comparison, todo)]
            print(shlex.join(starter_of(comparison, todo.name).line(todo.case.ranks, program)))
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with alone(comparison):
            settings = yaml.safe_dump(comparison.model_dump(exclude_unset=True), sort_keys=False)
            (comparison.folder / SETTINGS).write_text(settings)
            carry_out(comparison, cases)
            return conclude(comparison, cases, log=True)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where this one stopped", flush=True)
        return INTERRUPTED


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stored(words: Sequence[str]) -> Comparison:
    """The comparison that `--from DIR` names."""
    parts = [part for word in words for part in word.split("=", 1)]
    if len(parts) != 2 or parts[0] != "--from":
        raise UsageError("--from", " ".join(words), "stands alone: it draws the report of a folder again")
    if not (Path(parts[1]) / SETTINGS).exists():
        raise UsageError("--from", parts[1], f"holds no comparison (no {SETTINGS})")
    return load_comparison(["--config", str(Path(parts[1]) / SETTINGS), "--dir", parts[1]])


def conclude(comparison: Comparison, cases: Sequence[Case], log: bool) -> int:
    """Print the tables, write the report, and log it where that is wanted."""
    rows = rows_of(comparison, cases)
    found = pairwise_results(rows, comparison.compare.noise)
    conclusion = Conclusion(comparison, rows, found, headline(rows, found))
    pictures = write_report(conclusion)
    known = facts(conclusion)
    title = f"{conclusion.title}, {known.get('devices', 'no device')}, rounds: {comparison.compare.rounds}"
    lines = [*notes(rows), conclusion.headline, f"report: {comparison.folder / HTML}"]
    print_grids(title, grids(conclusion), lines)
    if log:
        track(conclusion, pictures, print)
    return 0 if all(row.counts for row in rows) else 1
