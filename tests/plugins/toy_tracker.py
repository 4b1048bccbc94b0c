"""A tracker from outside the package: writes what it is told to a file; fails in the method that TOY_FAILS names."""

import json
import os
from collections.abc import Mapping
from typing import Any

from alexnet_dist.registry import trackers
from alexnet_dist.telemetry.trackers import Tracked, Tracker


@trackers.register
class ToyTracker(Tracker):
    name, label = "toy", "Toy"

    def start(self, tracked: Tracked) -> str:
        self._file = tracked.folder / "toy" / "log.jsonl"
        self._file.parent.mkdir(exist_ok=True)
        self._write("start", {"net": tracked.experiment.net.name})
        return f"writes {self._file}"

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self._write("log", {"step": step, **values})

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._write("finish", summary)

    def _write(self, method: str, values: Mapping[str, Any]) -> None:
        if os.environ.get("TOY_FAILS") == method:
            raise OSError("the toy\nbroke")
        with self._file.open("a") as file:
            file.write(json.dumps({"method": method, **values}) + "\n")
