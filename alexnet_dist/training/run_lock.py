"""One live run a folder: a lock, and a heartbeat for where locks do not work or a lost node still holds one.

`run.lock` in the run directory says who has it: host, process, job, since when. While a run lives, its first rank holds
an fcntl lock on that file and touches it every `BEAT_SECONDS`. The folder can be taken when the run is seen to be dead,
when its own job comes back, or when it has been silent for `SILENCE_SECONDS`.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from alexnet_dist.errors import RankFailed, UsageError
from alexnet_dist.telemetry.run_files import LOCK, METRICS, read_json, temporary_name
from alexnet_dist.training.run_owner import (
    RELEASED,
    SILENCE_SECONDS,
    clock_ahead,
    described,
    is_alive,
    last_beat,
    lock,
    this_process,
)

BEAT_SECONDS = 10.0
WATCH_SECONDS = 0.5
SETTLE_SECONDS = 0.2  # of two runs that take a dead one's folder at once, the later one gets it; the other checks again


class RunLock:
    """Holds a run directory from its construction to `release`. For the first rank.

    Args:
        folder: of the run; it exists.
        field: the setting that names it, for messages.
        patient: wait for the owner to end, since it may be this run's own previous attempt.

    Raises:
        UsageError: a live run has the folder.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, field: str, patient: bool = False) -> None:
        self.folder, self._field = folder, field
        self._path = folder / LOCK
        self._patience = time.monotonic() + (SILENCE_SECONDS if patient else 0)
        self._identity = folder.stat()
        self._took_over = False
        self._descriptor = self._acquire()
        self._end = Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Ask the disk whether the folder is still this run's.

        Raises:
            RankFailed: it was removed or moved, or another run took it over while this one was silent; nothing may be
                written there any more.
        """
        if _is_gone(self.folder, self._identity) or _is_emptied(self.folder):
            raise RankFailed(f"{self._field}: {self.folder}: was removed or moved while the run went on")
        if not _is_at(self._descriptor, self._path):
            owner = described(read_json(self._path) or {})
            raise RankFailed(f"{self._field}: {self.folder}: another run has taken it over ({owner})")

    def release(self) -> None:
        """Release the folder."""
        if self._end.is_set():
            return
        self._end.set()
        self._thread.join()
        with suppress(OSError):
            if _is_at(self._descriptor, self._path) and not self._took_over:
                self._path.unlink()
            else:  # stays there: a run that was silent and wakes must see that it is no longer its own
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, json.dumps(RELEASED).encode(), 0)
        os.close(self._descriptor)

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(self._descriptor)

    def _acquire(self) -> int:
        """Create run.lock, or take over that of a run that is dead.

        Returns:
            The descriptor of run.lock. Nothing else may open that file here: closing it again would give up the lock.
        """
        while True:
            try:
                return _create(self._path)
            except FileExistsError:
                self._wait_for_death()
            beside = temporary_name(self._path)
            beside.unlink(missing_ok=True)
            descriptor = _create(beside)
            beside.replace(self._path)
            time.sleep(SETTLE_SECONDS)
            if _is_at(descriptor, self._path):
                self._took_over = True
                return descriptor
            os.close(descriptor)

    def _wait_for_death(self) -> None:
        """Return when the folder's owner is dead or gone.

        Raises:
            UsageError: it lives.
        """
        first, ahead, announced = last_beat(self._path), clock_ahead(self.folder), False
        began = time.monotonic()
        while (beat := last_beat(self._path)) is not None:
            owner = read_json(self._path) or {}
            alive = is_alive(owner, self._path)
            watched = time.monotonic() - began
            # Watched that long, it is silent even if a clock was set back since its last beat. Where one was set
            # forward, or the machine slept, that beat looks old: a process that is there has time for the next one.
            silent = max(time.time() + ahead - beat, watched)
            due = BEAT_SECONDS + 1 - watched if alive and beat == first else 0
            if alive is False or (silent >= SILENCE_SECONDS and due <= 0):
                return
            if (alive or beat != first) and silent < SILENCE_SECONDS and time.monotonic() >= self._patience:
                raise UsageError(
                    self._field,
                    self.folder,
                    f"is in use by a live run ({described(owner)}): wait for its end, or choose another folder",
                )
            if not announced:
                wait = max(SILENCE_SECONDS - silent, due)
                print(f"{self._path}: of a run ({described(owner)}): {wait:.0f} s for a sign of life", flush=True)
                announced = True
            time.sleep(WATCH_SECONDS)


def _create(path: Path) -> int:
    """Create a file that is not there, lock it, and say in it who has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        values = {**this_process(), "locked": lock(descriptor) is True}
        os.write(descriptor, (json.dumps(values, indent=2) + "\n").encode())
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise
    return descriptor


def _is_gone(folder: Path, identity: os.stat_result) -> bool:
    """Whether a path leads to no folder any more, or to another one; False where the disk fails to tell."""
    try:
        return not os.path.samestat(folder.stat(), identity)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _is_emptied(folder: Path) -> bool:
    """Whether the run's files are gone although its folder is there: `rm -r` leaves a folder that a checkpoint is being
    written into. False where the disk fails to tell."""
    for name in (LOCK, METRICS):
        try:
            (folder / name).lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a path leads to an open file; True where it is missing, since another run's would be there."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return True
