"""Who has a run directory, and whether that process is still alive."""

import errno
import fcntl
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil

Owner = Mapping[str, Any]

SILENCE_SECONDS = 60.0
RELEASED = {"released": True}  # written at its end by a run that had taken over a dead one's folder
_HELD = (errno.EAGAIN, errno.EACCES)
_START_TOLERANCE_SECONDS = 2.0  # start times that differ by more are of two processes with the same id


def this_process() -> dict[str, Any]:
    """What is written down about the process that takes a folder."""
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": _started(),
        "place": _place(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "job_restarts": os.environ.get("SLURM_RESTART_COUNT", "0"),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _started() -> float | None:
    """When this process was started; None where the system does not say, as without /proc."""
    try:
        return psutil.Process().create_time()
    except psutil.Error:
        return None


def described(owner: Owner) -> str:
    job = f", job {owner['job']}" if owner.get("job") else ""
    if not owner.get("pid"):
        return "which has not said who it is"
    return f"host {owner.get('host')}, process {owner['pid']}{job}, since {owner.get('since')}"


def is_alive(owner: Owner, path: Path) -> bool | None:
    """Whether a folder's owner lives, as far as that can be seen from here.

    Args:
        path: of the file that the owner has locked, if locks work.

    Returns:
        None where only its heartbeat can show it: it is on another machine, or in another container.
    """
    if owner == RELEASED:
        return False
    own_job = owner.get("job") is not None and owner["job"] == os.environ.get("SLURM_JOB_ID")
    if own_job and str(owner.get("job_restarts")) != os.environ.get("SLURM_RESTART_COUNT", "0"):
        return False  # Slurm starts a job again when it has ended
    if owner.get("place") == _place() and owner.get("started"):
        return _is_process(owner)
    held = _is_locked(path)
    if held:
        return True
    # No lock is seen. One held on this kernel or within this job would be, so the owner is dead; one held elsewhere may
    # not be.
    same_kernel = str(owner.get("place")).split()[:1] == _place().split()[:1]
    return False if held is False and owner.get("locked") and (own_job or same_kernel) else None


def last_beat(path: Path) -> float | None:
    """When the owner last touched its file, by the file system's clock; None where there is no file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def clock_ahead(folder: Path) -> float:
    """Seconds that a folder's file system, which may be a server's, is ahead of this machine's clock."""
    with TemporaryFile(dir=folder) as now:
        return os.fstat(now.fileno()).st_mtime - time.time()


def lock(descriptor: int) -> bool | None:
    """Lock a file for this process. False: another has; None: locks do not work there."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _is_locked(path: Path) -> bool | None:
    """Whether another process has locked a file; None: it cannot be said. Not for the process that holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        taken = lock(descriptor)
        return None if taken is None else not taken
    finally:
        os.close(descriptor)


def _is_process(owner: Owner) -> bool:
    try:
        process = psutil.Process(int(owner["pid"]))
        same = abs(process.create_time() - float(owner["started"])) < _START_TOLERANCE_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def _place() -> str:
    """Where process ids mean the same: this start of this machine's kernel, and this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()
