"""What the machine can do, measured once beside the runs: its links, and on CPUs the rate of matrix products."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from alexnet_dist.compare.cases import Run, shared_flags
from alexnet_dist.compare.records import PEAK, read_record
from alexnet_dist.compare.settings import Comparison
from alexnet_dist.compare.start import Starter

LINKS = "links.json"


class Machine:
    """Measures what is not known yet.

    Args:
        comparison: its folder keeps the figures.
        runs: all of the comparison's.
        starter: gives what starts ranks, by the name of its log.
    """

    def __init__(self, comparison: Comparison, runs: Sequence[Run], starter: Callable[[str], Starter]) -> None:
        self._comparison = comparison
        self._runs = runs
        self._starter = starter

    def unknown(self) -> dict[str, Callable[[], None]]:
        """What there is to do, by its name; each raises RunFailed where it cannot be had."""
        folder, todo = self._comparison.folder, dict[str, Callable[[], None]]()
        if max(run.case.ranks for run in self._runs) > 1 and not (folder / LINKS).exists():
            todo["the links between ranks"] = lambda: self._links(folder / LINKS)
        if self._comparison.compare.peak and not (folder / PEAK).exists():
            todo["the rate of matrix products"] = lambda: self._peak(folder / PEAK)
        return todo

    def _links(self, output: Path) -> None:
        program = ["-m", "alexnet_dist.cli", "doctor", "--output", str(output), *shared_flags(self._comparison)]
        ranks = max(run.case.ranks for run in self._runs)
        self._starter("links")(ranks, [*program, "--run.dir", str(output.with_name("runs"))])

    def _peak(self, output: Path) -> None:
        """What MFU is held against on CPUs, which no data sheet tells."""
        records = [record for run in self._runs if (record := read_record(self._comparison, run)) is not None]
        precision = self._comparison.train.precision
        if not records or records[0].summary["device_type"] != "cpu" or precision not in ("fp32", "bf16"):
            return
        program = ["-m", "alexnet_dist.bench.baselines", "matrix", "--precision", precision]
        self._starter("peak")(1, [*program, "--batch", "1", "--steps", "4", "--output", str(output)])


def read_links(comparison: Comparison) -> list[dict[str, str | float]]:
    """Each link that was measured: what, where, ranks, latency in seconds, bandwidth in bytes/s that a rank sends."""
    path = comparison.folder / LINKS
    found: list[dict[str, str | float]] = json.loads(path.read_text())["links"] if path.exists() else []
    return found
