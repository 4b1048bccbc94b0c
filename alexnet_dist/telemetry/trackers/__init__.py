"""Trackers follow a run: each gets the experiment, the figures of every window and the summary.

A tracker is added in one place, by registering a subclass of `Tracker`: in a file of this package, or in a plugin.
`tracking.with` names those that follow a run.
"""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from alexnet_dist.config.schema import Experiment
from alexnet_dist.errors import message_of
from alexnet_dist.registry import trackers


@dataclass(frozen=True)
class Tracked:
    """What is followed: a run, or a case of a comparison.

    Attributes:
        experiment: resolved.
        folder: of the run or the comparison; a tracker may write below folder / its name, which run.overwrite deletes.
        step: optimizer steps done before: above 0, a run goes on.
        group: default: `tracking.group`.
        case: of a comparison; None for a run.
    """

    experiment: Experiment
    folder: Path
    step: int = 0
    group: str | None = None
    case: str | None = None


class NotWritten(Exception):
    """The disk did not take all of a tracker's files. The run goes on, but fails at its end."""


class Tracker(ABC):
    """Follows one run, on its first rank. Whatever a method raises ends the tracker, not the run.

    Attributes:
        name: in the registry.
        label: in messages.
        unused: fields of `tracking` that it does not read.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    unused: ClassVar[tuple[str, ...]] = ()

    @classmethod  # noqa: B027 - most need nothing
    def check(cls) -> None:
        """Look for what the tracker needs, before ranks start.

        Raises:
            UsageError: it is not installed.
        """

    @abstractmethod
    def start(self, tracked: Tracked) -> str | None:
        """Begin to follow a run, or continue to follow one that is resumed.

        Returns:
            How it follows, to be printed after the label; None prints nothing.
        """

    @abstractmethod
    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log numbers by name; `step` optimizer steps are done."""

    def show_table(  # noqa: B027 - most cannot
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Log a table, in a tracker that can show one."""

    def show_pictures(self, pictures: Mapping[str, Path], step: int) -> None:  # noqa: B027 - most cannot
        """Log PNG pictures by name, in a tracker that can show them; `step` optimizer steps are done."""

    @abstractmethod
    def finish(self, summary: Mapping[str, Any]) -> None:
        """Store the summary and close; must not take longer than about a minute."""


class Tracking:
    """Runs the trackers of `tracking.with`. One that fails is reported once and dropped; the others go on.

    Args:
        tracked: what they follow.
        say: prints one line.
        active: False on every rank but the first.

    Attributes:
        problem: what a tracker could not write to the disk, and why; None: nothing.
    """

    def __init__(self, tracked: Tracked, say: Callable[[str], None], active: bool = True) -> None:
        self._say = say
        self.problem: str | None = None
        names = tracked.experiment.tracking.trackers if active else []
        if names:
            _ensure_accelerate_state()
        self._running: list[Tracker] = [trackers[name]() for name in names]
        self._each(lambda tracker: self._start(tracker, tracked))

    def _start(self, tracker: Tracker, tracked: Tracked) -> None:
        how = tracker.start(tracked)
        if how is not None:
            self._say(f"{tracker.label}: {how}")

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log numbers by name; `step` optimizer steps are done."""
        self._each(lambda tracker: tracker.log(values, step))

    def show_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Log a table."""
        self._each(lambda tracker: tracker.show_table(title, columns, rows))

    def show_pictures(self, pictures: Mapping[str, Path], step: int = 0) -> None:
        """Log PNG pictures by name; `step` optimizer steps are done."""
        self._each(lambda tracker: tracker.show_pictures(pictures, step))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Store the summary and close."""
        self._each(lambda tracker: tracker.finish(summary))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for tracker in list(self._running):
            try:
                action(tracker)
            except Exception as error:
                # A service that only watches must not end the run that it watches, whatever goes wrong inside it.
                self._running.remove(tracker)
                reason = message_of(error, 500)
                if isinstance(error, NotWritten) or getattr(error, "errno", None) in _DISK:
                    self.problem = f"{tracker.label}: {reason}"
                self._say(f"warning: {tracker.label} stopped ({reason}); the other files of the run have everything")


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # a service's network has other errors


def _ensure_accelerate_state() -> None:
    """Accelerate's trackers need its state, which exists on a rank but not in a comparison."""
    from accelerate import PartialState  # takes seconds

    PartialState(cpu=True)


def check_trackers(experiment: Experiment) -> None:
    """Refuse trackers that are not installed.

    Raises:
        UsageError: a tracker that the experiment names is not installed.
    """
    for name in experiment.tracking.trackers:
        trackers[name].check()
