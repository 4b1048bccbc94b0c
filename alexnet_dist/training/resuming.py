"""Where a run starts: from scratch or from a checkpoint, in a new folder or in its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import UsageError, refusing
from alexnet_dist.rng import GENERATOR
from alexnet_dist.telemetry.folder_contents import is_run
from alexnet_dist.training.checkpoints import files, reader
from alexnet_dist.training.run_directory import (
    check_run_directory,
    create_run_directory,
    directory_of_launcher,
    lock_run,
    named_by_user,
    restarted,
    unwritable,
)
from alexnet_dist.training.run_lock import RunLock


@dataclass(frozen=True)
class ResumePoint:
    """Where a run starts, and in which directory.

    Attributes:
        folder: the run's own; None where one is still to be created.
        checkpoint: to load; None starts from initial weights.
        step: optimizer steps done.
        earlier: the directory of the other run that did them; None where it was this run, or no run of this program.
        damaged: checkpoints that were skipped.
    """

    folder: Path | None
    checkpoint: Path | None
    step: int
    earlier: Path | None = None
    damaged: tuple[Path, ...] = ()


FROM_SCRATCH = ResumePoint(None, None, 0)


class RunStart:
    """Decides where a run starts, and holds its folder from then on. For the first rank.

    Attributes:
        lock: on the folder; None until there is one.
    """

    def __init__(self, experiment: Experiment, say: Callable[[str], None]) -> None:
        """Find out which folder the user named.

        Args:
            say: prints a line for each damaged checkpoint, where there is none, and where settings or random
                numbers change.
        """
        self._experiment, self._say = experiment, say
        self._folder, self._field = named_by_user(experiment)
        self.lock: RunLock | None = None

    def find(self) -> ResumePoint:
        """Find where the run starts; changes nothing on disk but the lock.

        Raises:
            UsageError: there is nothing to resume from, the checkpoint is another training's, or the folder holds
                another run or a live one.
        """
        resume, folder = self._experiment.run.resume, self._folder
        if restarted():
            # By the launcher, after a fault: the run has a folder already, unless the fault came early.
            resume, folder = "auto", folder or directory_of_launcher(self._experiment)
            if folder is None:
                return FROM_SCRATCH
        if resume is None:
            return self._from_scratch()
        if resume == "auto":
            if folder is None:
                raise UsageError("run.resume", "auto", "needs to know the run directory: give --run.dir or --run.name")
            if not is_run(folder):
                return self._from_scratch()
            self._hold(folder)
            with refusing(self._field, folder, f"its {files.FOLDER} cannot be read"):
                found = files.candidates(folder / files.FOLDER)
            if found:
                return self._at(found, folder)
            self._say(f"{folder} has no checkpoint yet: the run starts with its first step")
            return ResumePoint(folder, None, 0)
        found = reader.find(Path(resume), "run.resume")
        if folder is not None and _is_in(folder, found[0]):
            return self._from_own(found, folder)
        check_run_directory(self._experiment)
        return self._at(found, None)

    def open(self, start: ResumePoint) -> Path:
        """The run directory, created where the run is new.

        Raises:
            UsageError: it cannot be written, or holds another run by now.
        """
        if start.folder is None:
            self.lock = create_run_directory(self._experiment, self.lock)
            return self.lock.folder
        try:
            for path in start.damaged:
                # Otherwise they would count among the newest that are kept, and push a good one out.
                files.mark_damaged(path)
        except OSError as error:
            raise unwritable(self._field, start.folder, error) from None
        return start.folder

    def check(self) -> None:
        """Raises RankFailed where another run has taken the folder over."""
        if self.lock is not None:
            self.lock.check()

    def release(self) -> None:
        """Release the folder."""
        if self.lock is not None:
            self.lock.release()

    def _from_scratch(self) -> ResumePoint:
        check_run_directory(self._experiment)
        if self._folder is not None and is_run(self._folder):  # it is to be overwritten
            self._hold(self._folder)
        return FROM_SCRATCH

    def _from_own(self, found: list[Path], folder: Path) -> ResumePoint:
        """Continue from a named checkpoint of the run's own directory."""
        if self._experiment.run.overwrite:
            raise UsageError("run.overwrite", "true", f"would delete the run that run.resume {found[0]} continues")
        if not is_run(folder):
            check_run_directory(self._experiment)
        self._hold(folder)
        return self._at(found, folder)

    def _hold(self, folder: Path) -> None:
        self.lock = lock_run(folder, self._field)

    def _at(self, found: list[Path], folder: Path | None) -> ResumePoint:
        path, manifest = reader.first_undamaged(found, self._say)
        reader.check_same(manifest, self._experiment)
        if manifest.generator != GENERATOR:
            self._say(
                f"warning: {path} was trained with random numbers of generator {manifest.generator}, this is "
                f"{GENERATOR}: its dropout masks and synthetic images change from here"
            )
        if changed := reader.changes(manifest, self._experiment):
            self._say(f"changed since the checkpoint: {changed}")
        source = path.parent.parent
        earlier = source if folder is None and is_run(source) else None
        return ResumePoint(folder, path, manifest.step, earlier, tuple(found[: found.index(path)]))


def _is_in(folder: Path, checkpoint: Path) -> bool:
    """Whether a checkpoint is one of a run's own, also where its `checkpoints` is a link."""
    own = folder / files.FOLDER
    return own.exists() and checkpoint.parent.exists() and own.samefile(checkpoint.parent)
