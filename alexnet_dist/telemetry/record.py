"""Writes a run's record: config.yaml, metrics.jsonl, evaluation.json, summary.json."""

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from alexnet_dist.config.load import as_yaml
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import reason_of
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
    write_text,
)


class RunRecord:
    """Writes the files of a run; the first rank owns it.

    What cannot be written is at first a warning, and is tried again with the next write.

    Args:
        folder: the run directory, created.
        experiment: resolved.
        step: optimizer steps done; lines that an earlier part of the run wrote about later steps are dropped.
        earlier: the directory of the run that did these steps; None: this one.
        finished: no step is left to do; an existing config.yaml is then kept: the run was trained with it.
        guard: called before anything is written; raises where the folder is no longer this run's.
        say: prints one line.

    Attributes:
        earlier: the lines of metrics.jsonl that were kept, as they were written.

    Raises:
        UsageError: the earlier part was written by another version of this program.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        experiment: Experiment,
        step: int,
        earlier: Path | None,
        finished: bool,
        guard: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.folder, self._guard, self._say = folder, guard, say
        self.earlier = [line for line in read_metrics(earlier or folder, say) if line["step"] <= step]
        if not (finished and (folder / CONFIG).exists()):
            write_text(folder / CONFIG, as_yaml(experiment))
        write_text(folder / METRICS, "".join(json.dumps(line) + "\n" for line in self.earlier))
        (folder / EXIT).unlink(missing_ok=True)
        self._file = (folder / METRICS).open("ab", buffering=0)
        self._whole = self._file.tell()  # bytes, up to the end of the last line
        self._lines: list[str] = []  # not yet written
        self._values: dict[str, Mapping[str, Any]] = {}  # the same, by file
        self._problems: dict[str, str] = {}

    def metrics(self, steps: Iterable[Mapping[str, Any]]) -> None:
        """Append a line for each step."""
        self._lines += [json.dumps({"format": FORMAT, **finite(values)}) + "\n" for values in steps]
        self._write()

    def flush(self) -> None:
        """Sync the lines to the disk: a checkpoint should not be newer than the lines that lead to it."""
        self._write()
        self._try(METRICS, lambda: os.fsync(self._file.fileno()))

    def evaluation(self, step: int, values: Mapping[str, Any]) -> None:
        """Write the evaluation after a step, over the one before."""
        self._values[EVALUATION] = {"step": step, **values}
        self._write()

    def summary(self, values: Mapping[str, Any]) -> None:
        self._values[SUMMARY] = {"format": FORMAT, **values}
        self._write()

    def problem(self) -> str | None:
        """What is not on the disk although it should be, and why."""
        self._write()
        if not self._problems and os.fstat(self._file.fileno()).st_nlink == 0:
            return f"{METRICS} could not be written: it was deleted meanwhile"
        return next((f"{name} could not be written: {why}" for name, why in self._problems.items()), None)

    def close(self) -> None:
        self._file.close()

    def _write(self) -> None:
        """Write whatever is not on the disk."""
        self._guard()
        if self._lines and self._try(METRICS, self._append):
            self._lines = []
        for name, values in list(self._values.items()):
            if self._try(name, partial(write_json, self.folder / name, values)):
                del self._values[name]

    def _append(self) -> None:
        """Append the lines; all of them or none."""
        data = "".join(self._lines).encode()
        try:
            written = self._file.write(data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._file.truncate(self._whole)
            raise
        self._whole += written

    def _try(self, name: str, action: Callable[[], None]) -> bool:
        """Whether an action on a file succeeded; only the first of several failures is printed."""
        try:
            action()
        except OSError as error:
            if name not in self._problems:
                self._say(f"warning: {name} cannot be written: {reason_of(error)}")
            self._problems[name] = reason_of(error)
            return False
        self._problems.pop(name, None)
        return True


def read_evaluation(folder: Path, step: int) -> dict[str, Any] | None:
    """The evaluation after a step; None where there was none."""
    values = read_json(folder / EVALUATION)
    if values is None or values.pop("step", None) != step:
        return None
    return values if all(isinstance(value, int | float) for value in values.values()) else None
