"""Shows what the check finds, as it finds it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from alexnet_dist.gpu_check.results import FAILED, NOT_REACHED, RUNNING, Entry
from alexnet_dist.telemetry.run_files import write_json

NAMES, WIDTH = 17, 100  # of the first column, of both


class CheckReport:
    """A table on the console and a JSON file, both complete at any moment: the check may be cut short.

    Args:
        output: the file.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._shown: dict[str, int] = {}  # rows of each line
        self._entries: list[Entry] = []

    def changed(self, entries: Sequence[Entry]) -> None:
        """Show what is new."""
        if entries == self._entries:
            return
        self._entries = list(entries)
        write_json(self._output, {"lines": self._entries})
        for entry in entries:
            rows, shown = _rows(entry), self._shown.get(entry["name"], 0)
            for number, row in enumerate(rows[shown:], start=shown):
                _print("" if number else entry["name"], row)
            self._shown[entry["name"]] = len(rows)

    @property
    def good(self) -> bool:
        """Whether every line was reached and none failed."""
        return all(entry["result"] not in (FAILED, NOT_REACHED) for entry in self._entries)


def _rows(entry: Entry) -> list[str]:
    rows = [f"{name}: {value}" for name, value in entry["figures"].items()]
    if entry["result"] != RUNNING:
        reason = f": {entry['reason']}" if entry["reason"] else ""
        rows.append(f"{entry['result']} after {entry['seconds']:.0f} s{reason}")
    return rows


def _print(name: str, text: str) -> None:
    for number, part in enumerate(textwrap.wrap(text, WIDTH - NAMES)):
        print(f"{name if number == 0 else '':<{NAMES}}{part}", flush=True)
