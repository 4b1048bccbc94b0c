"""The run directory: which one a run gets, whether it may be used, and its exclusive creation."""

import os
import platform
from contextlib import suppress
from pathlib import Path

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError, reason_of
from alexnet_dist.launcher.control_folder import RESTARTS, control_folder
from alexnet_dist.registry import trackers
from alexnet_dist.telemetry.folder_contents import ASIDE, PROGRAM, delete_all, is_refusal, is_run, names_in
from alexnet_dist.telemetry.run_files import (
    CONFIG,
    EVALUATION,
    EXIT,
    FILTERS,
    LAUNCHER,
    LOCK,
    LOGS,
    METRICS,
    SUMMARY,
    TRACE,
    TRACE_TEMPORARY,
    read_json,
    temporary_name,
    write_json,
)
from alexnet_dist.training.checkpoints.files import FOLDER as CHECKPOINTS
from alexnet_dist.training.checkpoints.files import all_of_run
from alexnet_dist.training.run_lock import RunLock

_FILES = (CONFIG, METRICS, EVALUATION, SUMMARY, EXIT, TRACE, LAUNCHER, LOCK)


def named_by_user(experiment: Experiment) -> tuple[Path | None, str]:
    """The directory that the user chose, and the field that says so."""
    run = experiment.run
    if run.dir is not None:
        return Path(run.dir), "run.dir"
    return (Path("runs", run.name), "run.name") if run.name is not None else (None, "run.dir")


def restarted() -> bool:
    """Whether the launcher started these ranks again after a fault."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in (RESTARTS, "TORCHELASTIC_RESTART_COUNT"))


def lock_run(folder: Path, field: str) -> RunLock:
    """Hold a folder against other runs.

    Raises:
        UsageError: a live run has it, or it cannot be written.
    """
    try:
        return RunLock(folder, field, patient=restarted())
    except OSError as error:
        raise unwritable(field, folder, error) from None


def unwritable(field: str, folder: Path, error: OSError) -> UsageError:
    return UsageError(field, folder, f"cannot be written ({error.strerror}): choose another folder")


def check_run_directory(experiment: Experiment) -> None:
    """Refuse a directory that the user chose and that holds a run, or something else.

    Raises:
        UsageError: what is in the way.
    """
    folder, field = named_by_user(experiment)
    if folder is None:
        return
    try:
        found = names_in(folder)
        ours = is_run(folder) or _is_unused(folder, found)
    except OSError as error:
        raise UsageError(field, folder, f"is not a folder that can be read ({error.strerror})") from None
    others = sorted(found - _own_names())
    if others or not ours:
        # Also with run.overwrite: what is in there is not ours to delete.
        raise UsageError(
            field, folder, f"is no run directory (it holds {', '.join(others or sorted(found))}): choose another"
        )
    if is_run(folder) and not experiment.run.overwrite:
        raise UsageError(
            field,
            folder,
            "holds a run already: go on with --run.resume auto, choose another name, or pass --run.overwrite true",
        )


def create_run_directory(experiment: Experiment, held: RunLock | None) -> RunLock:
    """Create the directory, for this run only: the user's choice, else runs/NET-STRATEGY with the next free number.

    Args:
        held: on the directory, where it was there before.

    Raises:
        UsageError: the chosen directory holds a run by now, or cannot be written.
    """
    folder, field = named_by_user(experiment)
    try:
        if folder is None:
            return _create_numbered(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        lock = held or lock_run(folder, field)
        check_run_directory(experiment)
        _delete_run(folder, field)
        _mark(folder)
        return lock
    except OSError as error:
        raise unwritable(field, folder or Path("runs"), error) from None


def _create_numbered(experiment: Experiment) -> RunLock:
    number = 1
    while True:
        folder = Path("runs", _stem(experiment) + ("" if number == 1 else f"-{number}"))
        folder.parent.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir()
            lock = lock_run(folder, "run.dir")
            _mark(folder)
            return lock
        number += 1


def directory_of_launcher(experiment: Experiment) -> Path | None:
    """The directory, not named by the user, that ranks of the same launcher created before they were restarted."""
    for path in Path("runs").glob(f"{_stem(experiment)}*/{LAUNCHER}"):
        if read_json(path) == _mark_of_launcher():
            return path.parent
    return None


def _is_unused(folder: Path, found: set[str]) -> bool:
    """Whether a folder without a run holds at most an empty folder for checkpoints, or a link to one, and leftovers of
    a start that ended before it wrote its mark."""
    place = folder / CHECKPOINTS
    if CHECKPOINTS in found and (names_in(place) if place.is_dir() else place.exists()):
        return False
    left_over = found - {CHECKPOINTS, LOCK, temporary_name(Path(LOCK)).name, temporary_name(Path(LAUNCHER)).name}
    return left_over <= {EXIT} and (not left_over or is_refusal(folder))


def _own_names() -> set[str]:
    """What a run may have written; a directory that holds anything else is not touched."""
    return {
        *_FILES,
        *(temporary_name(Path(name)).name for name in _FILES),
        CHECKPOINTS,
        TRACE_TEMPORARY,
        LOGS,
        FILTERS,
        *trackers.names(),
        ASIDE,
    }


def _delete_run(folder: Path, field: str) -> None:
    """Delete what an earlier run wrote, and nothing else: neither the lock nor a link that leads to its checkpoints.

    Raises:
        UsageError: something cannot be deleted; then nothing is.
    """
    place = folder / CHECKPOINTS
    own = (folder / name for name in _own_names() - {LOCK, CHECKPOINTS})
    try:
        delete_all([*all_of_run(place), *(path for path in own if os.path.lexists(path))])
        if place.is_dir() and not place.is_symlink() and not any(place.iterdir()):
            place.rmdir()
    except OSError as error:
        remedy = f"its earlier run cannot be deleted ({reason_of(error)}): choose another folder"
        raise UsageError(field, folder, remedy) from None


def _mark(folder: Path) -> None:
    write_json(folder / LAUNCHER, _mark_of_launcher())


def _stem(experiment: Experiment) -> str:
    return f"{experiment.net.name}-{experiment.strategy.name}"


def _mark_of_launcher() -> dict[str, str]:
    """Says that the folder is a run's, and what started it; the same for ranks that are restarted after a fault."""
    launcher = control_folder()
    return {
        "program": PROGRAM,
        "host": platform.node(),
        "id": str(os.getppid() if launcher is None else launcher.parent),
    }
