"""A run's own folder: config.yaml, metrics.jsonl, evaluation.json, summary.json, exit.json."""

import json
import math
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.config.load import save
from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError

METRICS, EVALUATION, SUMMARY, EXIT = "metrics.jsonl", "evaluation.json", "summary.json", "exit.json"
CONFIG, TRACE, LAUNCHER = "config.yaml", "trace.json", "launcher.json"
OURS = {METRICS, EVALUATION, SUMMARY, EXIT, CONFIG, TRACE, LAUNCHER, "wandb", "checkpoints"}


def check_folder(experiment: Experiment) -> None:
    """Refuse a folder that the user named and that holds a run, or something else.

    Raises:
        UsageError: what is in the way.
    """
    folder, field = named_by_user(experiment)
    if folder is None:
        return
    try:
        found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise UsageError(field, folder, f"is not a folder that can be read ({error.strerror})") from None
    others = sorted(found - OURS)
    if others or (found - {EXIT} and CONFIG not in found):
        # Also with run.overwrite: what is in there is not ours to delete.
        raise UsageError(
            field, folder, f"is no run's folder (it holds {', '.join(others or sorted(found))}): choose another"
        )
    if CONFIG in found and not experiment.run.overwrite:
        raise UsageError(
            field,
            folder,
            "holds a run already: go on with --run.resume auto, choose another name, or pass --run.overwrite true",
        )


def holds_run(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def create_run_directory(experiment: Experiment) -> Path:
    """Make the run's folder this run's alone: what the user named, else runs/NET-STRATEGY with the next free number.

    Raises:
        UsageError: the named folder holds a run by now, or cannot be written.
    """
    folder, field = named_by_user(experiment)
    try:
        if folder is not None:
            check_folder(experiment)
            if folder.exists():
                shutil.rmtree(folder)
            if not _claim(folder):
                raise UsageError(field, folder, "was taken by another run just now: choose another name")
            return folder
        number = 1
        while not _claim(free := Path("runs", _stem(experiment) + ("" if number == 1 else f"-{number}"))):
            number += 1
        return free
    except OSError as error:
        raise UsageError(field, folder or "runs", f"cannot be written ({error.strerror})") from None


def named_by_user(experiment: Experiment) -> tuple[Path | None, str]:
    """The folder that the user chose, and the field that did."""
    run = experiment.run
    if run.dir is not None:
        return Path(run.dir), "run.dir"
    return (Path("runs", run.name), "run.name") if run.name is not None else (None, "run.dir")


def _claim(folder: Path) -> bool:
    """Create the folder's config file; False where somebody else has."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / CONFIG).open("x").close()
    except FileExistsError:
        return False
    write_json(folder / LAUNCHER, _launcher())
    return True


def _stem(experiment: Experiment) -> str:
    return f"{experiment.net.name}-{experiment.strategy.name}"


def _launcher() -> dict[str, Any]:
    """Who started this rank: the same for ranks that are started again after a fault."""
    return {"host": platform.node(), "id": os.environ.get("ALEXNET_DIST_CONTROL") or str(os.getppid())}


def folder_of_launcher(experiment: Experiment) -> Path | None:
    """The unnamed folder that ranks of the same launcher claimed before they were started again."""
    for path in Path("runs").glob(f"{_stem(experiment)}*/{LAUNCHER}"):
        if json.loads(path.read_text()) == _launcher():
            return path.parent
    return None


class RunRecord:
    """Writes the files of a run; one rank owns it.

    Args:
        folder: claimed.
        experiment: resolved.
        step: optimiser steps done; what an earlier part of the run wrote about later ones is forgotten.

    Attributes:
        earlier: the lines of metrics.jsonl that were kept.
    """

    def __init__(self, folder: Path, experiment: Experiment, step: int = 0) -> None:
        self.folder = folder
        save(experiment, folder / CONFIG)
        (folder / EXIT).unlink(missing_ok=True)
        self.earlier = _lines_up_to(folder / METRICS, step)
        kept = folder / f".{METRICS}"
        kept.write_text("".join(json.dumps(line) + "\n" for line in self.earlier))
        kept.replace(folder / METRICS)
        self._metrics = (folder / METRICS).open("a", buffering=1)

    def metrics(self, values: Mapping[str, Any]) -> None:
        """Append one step's line."""
        self._metrics.write(json.dumps(finite(values)) + "\n")

    def flush(self) -> None:
        """On to the disk: a checkpoint must not be newer than the lines that lead to it."""
        os.fsync(self._metrics.fileno())

    def evaluation(self, step: int, values: Mapping[str, Any]) -> None:
        write_json(self.folder / EVALUATION, {"step": step, **values})

    def summary(self, values: Mapping[str, Any]) -> None:
        write_json(self.folder / SUMMARY, values)

    def close(self) -> None:
        self._metrics.close()


def _lines_up_to(path: Path, step: int) -> list[dict[str, Any]]:
    """Lines of steps 1 … step; the last line of a run that was killed may be half written."""
    lines: list[dict[str, Any]] = []
    try:
        with path.open() as file:
            for text in file:
                line = json.loads(text)
                if line["step"] > step:
                    break
                lines.append(line)
    except (OSError, ValueError, KeyError):
        pass
    return lines


def read_evaluation(folder: Path, step: int) -> dict[str, Any] | None:
    """The evaluation after a step, if there was one."""
    try:
        values: dict[str, Any] = json.loads((folder / EVALUATION).read_text())
    except (OSError, ValueError):
        return None
    return {name: value for name, value in values.items() if name != "step"} if values["step"] == step else None


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write whole or not at all: into a temporary file beside it, then renamed."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(finite(values), indent=2) + "\n")
    temporary.replace(path)


def write_exit(folder: Path, code: int, reason: str) -> None:
    """How a run ended, in its folder; a folder that cannot be written is no second failure."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / EXIT, {"code": code, "reason": reason})
    except OSError:
        pass
