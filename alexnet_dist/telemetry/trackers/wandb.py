"""Weights & Biases, through Accelerate's tracker.

The user's own WANDB_ variables and W&B's settings file apply unless a field of `tracking` says otherwise. Without a
login or an answer from the server a run is written offline, for `wandb sync`; nothing here waits longer than the limits
below.
"""

import logging
import os
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

from alexnet_dist.errors import message_of
from alexnet_dist.registry import trackers
from alexnet_dist.telemetry.trackers import NotWritten, Tracked, Tracker

ANSWER_SECONDS = 5  # for the server to answer at all
CLOSE_SECONDS = 3  # for W&B's own process to close its files
CLOSED = '"stream: all finished"'
OURS = {"silent": True, "console": "off", "init_timeout": 20.0, "finish_timeout": 30.0, "finish_timeout_raises": True}
PROJECT = "alexnet-dist"
OFFLINE = ("offline", "dryrun")
RUN_ID = "run_id.txt"  # in the run directory, below `wandb`

# wandb and Accelerate are imported in functions: they take most of a second, and only one rank needs them.


@trackers.register
class WandbTracker(Tracker):
    """Curves over the global step; a resumed run continues the same run of W&B."""

    name, label = "wandb", "W&B"
    _no_server: ClassVar[str] = ""  # why there is none, once this process has waited for it
    _folder: Path | None = None  # of this part of the run; none where W&B is disabled

    def start(self, tracked: Tracked) -> str:
        settings = _settings()
        mode, self._timeout = settings.mode, settings.finish_timeout
        project = tracked.experiment.tracking.project or settings.project or PROJECT
        why = "" if mode in (*OFFLINE, "disabled") else self._why_offline(settings.base_url)
        try:
            self._start(tracked, project, "offline" if why else mode)
        except Exception as error:
            if why or mode in (*OFFLINE, "disabled"):
                raise
            why = WandbTracker._no_server = message_of(error).partition(" Consider ")[0]
            self._start(tracked, project, "offline")
        if mode == "disabled":
            return mode
        self._folder = Path(self._tracker.tracker.dir).parent
        _keep_id(tracked, self._tracker.tracker.id)
        if mode not in OFFLINE and not why:
            return "online"
        sync = f"upload with: wandb sync {self._folder.parent}/offline-run-*"
        return f"offline, since {why}; {sync}" if why else f"offline; {sync}"

    def _start(self, tracked: Tracked, project: str, mode: str) -> None:
        from accelerate.tracking import WandBTracker

        group = tracked.group or tracked.experiment.tracking.group
        folder = {} if "WANDB_DIR" in os.environ else {"dir": str(tracked.folder)}
        self._tracker = WandBTracker(project, mode=mode, group=group, **folder, **_identity(tracked))
        self._tracker.start()
        self._tracker.store_init_configuration(tracked.experiment.model_dump())

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self._tracker.log(dict(values), step=step)

    def show_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        import wandb

        self._tracker.log({title: wandb.Table(columns=list(columns), data=[list(cells) for cells in rows])}, step=0)

    def show_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        import wandb

        self._tracker.log({name: wandb.Image(str(path)) for name, path in pictures.items()}, step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Waits for the upload, for the limit at most.

        Raises:
            TimeoutError: W&B has not got everything.
            NotWritten: the disk has not got everything either.
        """
        run = self._tracker.tracker
        self._tracker.log({}, commit=True)  # else the last window's figures come after the summary's, and replace them
        run.summary.update(dict(summary))
        try:
            run.finish()
        except TimeoutError:
            WandbTracker._no_server = "its server stopped answering"
            late = f"not everything was uploaded within {self._timeout:g} s; upload with: wandb sync {self._folder}"
            raise TimeoutError(late) from None
        if self._folder is not None:
            _check_written(self._folder)

    @classmethod
    def _why_offline(cls, url: str) -> str:
        """Why a run must be offline; empty: it need not."""
        import wandb

        try:
            if not wandb.login(prompt=False, verify=False):
                return "nobody is logged in"
        except Exception as error:
            return f"the login failed ({message_of(error)})"
        if not cls._no_server and not _answers(url):
            cls._no_server = f"{url} does not answer"
        return cls._no_server


def _check_written(folder: Path) -> None:
    """Check that W&B could write its file: it reports a failure only in its own log, which may be missing, too.

    Raises:
        NotWritten: with the operating system's reason, where there is one.
    """
    lines = _last_log(folder / "logs/debug-internal.log")
    failed = [line for line in lines if '"writer: failed' in line or "opening transaction log for writing" in line]
    if failed:
        reason = failed[0].rstrip('"}').rpartition(": ")[2]
        raise NotWritten(f"its file in {folder} is not whole: {reason.capitalize()}")
    if not any(path.stat().st_size for path in folder.glob("run-*.wandb")):
        raise NotWritten(f"its file in {folder} is empty")


def _last_log(path: Path) -> list[str]:
    """The log of W&B's own process, once that has closed its files: later than it reports a run finished.

    After `CLOSE_SECONDS`, the log so far: a full disk may not take its last line.
    """
    lines, deadline = [""], time.monotonic() + CLOSE_SECONDS
    while CLOSED not in lines[-1] and time.monotonic() < deadline:
        time.sleep(0.02)
        with suppress(OSError):
            lines = ["", *path.read_text(errors="replace").splitlines()]
    return lines


def _settings() -> Any:
    """W&B's settings in force: those in its settings file, overridden by ours, and these by the user's variables."""
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value]:
        del os.environ[name]  # empty means unset, but not to W&B
    # Reports of errors to W&B's makers would keep the process from ending where no server answers.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    logging.raiseExceptions = False  # a line of its log that the disk does not take would print a trace
    import wandb

    ours = {name: value for name, value in OURS.items() if f"WANDB_{name.upper()}" not in os.environ}
    return wandb.setup(wandb.Settings(**ours)).settings


def _identity(tracked: Tracked) -> dict[str, str]:
    """Options that say which run of W&B it is: a case's own, the one that the folder has already, else a new one."""
    if tracked.case is not None:
        return {"id": secrets.token_hex(4), "name": tracked.case}
    given = tracked.experiment.run.name
    options = {"name": given or tracked.folder.name} if given or "WANDB_NAME" not in os.environ else {}
    earlier = tracked.folder / "wandb" / RUN_ID
    if tracked.step and earlier.exists() and "WANDB_RUN_ID" not in os.environ:
        # Offline, W&B writes a second folder with the same id.
        options |= {"id": earlier.read_text().strip(), "resume": os.environ.get("WANDB_RESUME", "allow")}
    return options


def _keep_id(tracked: Tracked, run_id: str) -> None:
    if tracked.case is None:
        (tracked.folder / "wandb").mkdir(exist_ok=True)
        (tracked.folder / "wandb" / RUN_ID).write_text(f"{run_id}\n")


def _answers(url: str) -> bool:
    """Whether a server answers there, whatever it says; not a proxy that cannot reach it."""
    found = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):
                found.append(True)
        except urllib.error.HTTPError as answer:
            found.append(answer.code < 500)
        except urllib.error.URLError as error:
            found.append(isinstance(error.reason, ssl.SSLError))  # W&B may trust certificates that Python does not know
        except Exception:
            found.append(False)

    asking = Thread(target=ask, daemon=True)  # a name server that does not answer knows no limit
    asking.start()
    asking.join(ANSWER_SECONDS)
    return found == [True]
