"""A run's own folder: config.yaml, metrics.jsonl, summary.json, exit.json."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.config.experiment import Experiment
from alexnet_dist.config.sources import save
from alexnet_dist.errors import Refusal

METRICS, SUMMARY, EXIT, CONFIG = "metrics.jsonl", "summary.json", "exit.json", "config.yaml"


def choose_folder(experiment: Experiment) -> Path:
    """The run's folder: what the user named, else runs/NET-STRATEGY with the next free number.

    Raises:
        Refusal: the folder that the user named holds a run, or something else.
    """
    run = experiment.run
    if run.dir is not None or run.name is not None:
        folder = Path(run.dir if run.dir is not None else f"runs/{run.name}")
        _check_free(folder, "run.dir" if run.dir is not None else "run.name", run.overwrite)
        return folder
    stem, number = f"{experiment.net.name}-{experiment.strategy.name}", 1
    while in_use(folder := Path("runs", stem if number == 1 else f"{stem}-{number}")):
        number += 1
    return folder


def in_use(folder: Path) -> bool:
    """Whether a folder holds anything but the reason why a run was refused."""
    return folder.exists() and (not folder.is_dir() or any(path.name != EXIT for path in folder.iterdir()))


def _check_free(folder: Path, field: str, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise Refusal(field, folder, "is not a folder")
    if (folder / CONFIG).exists():
        if not overwrite:
            raise Refusal(field, folder, "holds a run already: choose another name, or pass --run.overwrite true")
    elif in_use(folder):
        # Also with run.overwrite: what is in there is not a run of ours to delete.
        raise Refusal(field, folder, "exists and is not a run's folder: choose another")


class RunRecord:
    """Writes the files of a run; one rank owns it.

    Args:
        folder: created; an earlier run in it is deleted (see `choose_folder` for who allows that).
        experiment: resolved.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            save(experiment, folder / CONFIG)
            self._metrics = (folder / METRICS).open("a", buffering=1)
        except OSError as error:
            raise Refusal("run.dir", folder, f"cannot be written ({error.strerror})") from None

    def metrics(self, values: Mapping[str, Any]) -> None:
        """Append one step's line."""
        self._metrics.write(json.dumps(values) + "\n")

    def summary(self, values: Mapping[str, Any]) -> None:
        write_json(self.folder / SUMMARY, values)

    def close(self) -> None:
        self._metrics.close()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write whole or not at all: into a temporary file beside it, then renamed."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n")
    temporary.replace(path)


def write_exit(folder: Path, code: int, reason: str) -> None:
    """How a run ended, in its folder; a folder that cannot be written is no second failure."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / EXIT, {"code": code, "reason": reason})
    except OSError:
        pass
