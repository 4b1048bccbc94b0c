"""Writes a run's record: config.yaml, metrics.jsonl, evaluation.json, summary.json."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.config.load import save
from alexnet_dist.config.schema import Experiment
from alexnet_dist.telemetry.run_files import (
    CONFIG,
    EVALUATION,
    EXIT,
    FORMAT,
    METRICS,
    SUMMARY,
    finite,
    read_json,
    read_metrics,
    write_json,
)


class RunRecord:
    """Writes the files of a run; the first rank owns it.

    Args:
        folder: the run directory, created.
        experiment: resolved.
        step: optimiser steps done; lines that an earlier part of the run wrote about later steps are dropped.

    Attributes:
        earlier: the lines of metrics.jsonl that were kept, as they were written.

    Raises:
        UsageError: the earlier part was written by a newer version of this program.
    """

    def __init__(self, folder: Path, experiment: Experiment, step: int = 0) -> None:
        self.folder = folder
        self.earlier = [line for line in read_metrics(folder) if line["step"] <= step]
        save(experiment, folder / CONFIG)
        (folder / EXIT).unlink(missing_ok=True)
        kept = folder / f".{METRICS}"
        kept.write_text("".join(json.dumps(line) + "\n" for line in self.earlier))
        kept.replace(folder / METRICS)
        self._metrics = (folder / METRICS).open("a", buffering=1)

    def metrics(self, values: Mapping[str, Any]) -> None:
        """Append one step's line."""
        self._metrics.write(json.dumps({"format": FORMAT, **finite(values)}) + "\n")

    def flush(self) -> None:
        """Sync the lines to the disk: a checkpoint must not be newer than the lines that lead to it."""
        os.fsync(self._metrics.fileno())

    def evaluation(self, step: int, values: Mapping[str, Any]) -> None:
        """Write the evaluation after a step, over the one before."""
        write_json(self.folder / EVALUATION, {"step": step, **values})

    def summary(self, values: Mapping[str, Any]) -> None:
        write_json(self.folder / SUMMARY, {"format": FORMAT, **values})

    def close(self) -> None:
        self._metrics.close()


def read_evaluation(folder: Path, step: int) -> dict[str, Any] | None:
    """The evaluation after a step; None where there was none."""
    values = read_json(folder / EVALUATION)
    if values is None or values.pop("step") != step:
        return None
    return values
