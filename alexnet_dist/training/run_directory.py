"""The run directory: which one a run gets, whether it may be used, and its creation for this run alone."""

import os
import platform
import shutil
from pathlib import Path

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.control_folder import CONTROL
from alexnet_dist.registry import trackers
from alexnet_dist.telemetry.run_files import (
    CONFIG,
    EVALUATION,
    EXIT,
    LAUNCHER,
    METRICS,
    SUMMARY,
    TRACE,
    read_json,
    write_json,
)
from alexnet_dist.training.checkpoints.files import FOLDER as CHECKPOINTS

_FILES = {CONFIG, METRICS, EVALUATION, SUMMARY, EXIT, TRACE, LAUNCHER, CHECKPOINTS}


def named_by_user(experiment: Experiment) -> tuple[Path | None, str]:
    """The directory that the user chose, and the field that says so."""
    run = experiment.run
    if run.dir is not None:
        return Path(run.dir), "run.dir"
    return (Path("runs", run.name), "run.name") if run.name is not None else (None, "run.dir")


def holds_run(folder: Path) -> bool:
    """Whether a run was started there."""
    return (folder / CONFIG).is_file()


def check_run_directory(experiment: Experiment) -> None:
    """Refuse a directory that the user chose and that holds a run, or something else.

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
    others = sorted(found - _own_names())
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


def create_run_directory(experiment: Experiment) -> Path:
    """Create the directory for this run alone: the user's choice, else runs/NET-STRATEGY with the next free number.

    Raises:
        UsageError: the chosen directory holds a run by now, or cannot be written.
    """
    folder, field = named_by_user(experiment)
    try:
        if folder is not None:
            check_run_directory(experiment)
            if folder.exists():
                _delete_run(folder)
            if not _create(folder):
                raise UsageError(field, folder, "was taken by another run just now: choose another name")
            return folder
        number = 1
        while not _create(free := Path("runs", _stem(experiment) + ("" if number == 1 else f"-{number}"))):
            number += 1
        return free
    except OSError as error:
        raise UsageError(field, folder or "runs", f"cannot be written ({error.strerror})") from None


def directory_of_launcher(experiment: Experiment) -> Path | None:
    """The directory, not named by the user, that ranks of the same launcher created before they were restarted."""
    for path in Path("runs").glob(f"{_stem(experiment)}*/{LAUNCHER}"):
        if read_json(path) == _launcher():
            return path.parent
    return None


def _own_names() -> set[str]:
    """What a run may have written; a directory that holds anything else is not touched."""
    return _FILES | set(trackers.names())


def _delete_run(folder: Path) -> None:
    """Delete what an earlier run wrote, and nothing else."""
    for path in (folder / name for name in _own_names()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _create(folder: Path) -> bool:
    """Create the directory and its config file; False where another run was first."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / CONFIG).open("x").close()
    except FileExistsError:
        return False
    write_json(folder / LAUNCHER, _launcher())
    return True


def _stem(experiment: Experiment) -> str:
    return f"{experiment.net.name}-{experiment.strategy.name}"


def _launcher() -> dict[str, str]:
    """What started this rank; the same for ranks that are restarted after a fault."""
    return {"host": platform.node(), "id": os.environ.get(CONTROL) or str(os.getppid())}
