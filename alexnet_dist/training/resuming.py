"""Where a run starts: from scratch or from a checkpoint, in a new folder or in its own."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.control_folder import RESTARTS
from alexnet_dist.training.checkpoints import files, reader
from alexnet_dist.training.run_directory import (
    check_run_directory,
    create_run_directory,
    directory_of_launcher,
    holds_run,
    named_by_user,
)


@dataclass(frozen=True)
class ResumePoint:
    """Attributes:
    folder: the run's own; None where one is still to be created.
    checkpoint: to load; None starts from initial weights.
    step: optimizer steps done.
    damaged: checkpoints that were skipped.
    """

    folder: Path | None
    checkpoint: Path | None
    step: int
    damaged: tuple[Path, ...] = ()


FROM_SCRATCH = ResumePoint(None, None, 0)


def find_resume_point(experiment: Experiment, say: Callable[[str], None]) -> ResumePoint:
    """Decide where a run starts; changes nothing on disk. For the first rank.

    Args:
        say: prints a line for each damaged checkpoint.

    Raises:
        UsageError: there is nothing to resume from, the checkpoint is another training's, or the folder holds another
            run.
    """
    resume, folder = experiment.run.resume, named_by_user(experiment)[0]
    if any(int(os.environ.get(name, "0")) > 0 for name in (RESTARTS, "TORCHELASTIC_RESTART_COUNT")):
        # Restarted by the launcher after a fault: the run has a folder already, unless the fault came early.
        resume, folder = "auto", folder or directory_of_launcher(experiment)
        if folder is None:
            return FROM_SCRATCH
    if resume is None:
        check_run_directory(experiment)
        return FROM_SCRATCH
    if resume == "auto":
        if folder is None:
            raise UsageError("run.resume", "auto", "needs to know the run's folder: give --run.dir or --run.name")
        if not holds_run(folder):
            check_run_directory(experiment)
            return FROM_SCRATCH
        found = files.candidates(folder / files.FOLDER)
        return _at(found, experiment, say, folder) if found else ResumePoint(folder, None, 0)
    found = reader.find(Path(resume))
    own = folder is not None and holds_run(folder) and found[0].resolve().parent.parent == folder.resolve()
    if not own:
        check_run_directory(experiment)
    return _at(found, experiment, say, folder if own else None)


def _at(found: list[Path], experiment: Experiment, say: Callable[[str], None], folder: Path | None) -> ResumePoint:
    path, manifest = reader.first_undamaged(found, say)
    reader.check_same(manifest, experiment)
    return ResumePoint(folder, path, manifest.step, tuple(found[: found.index(path)]))


def open_run_directory(start: ResumePoint, experiment: Experiment) -> Path:
    """The run's folder, created where the run is new. For the first rank."""
    if start.folder is None:
        return create_run_directory(experiment)
    for path in start.damaged:
        # Otherwise they would count among the newest that are kept, and push a good one out.
        files.mark_damaged(path)
    return start.folder
