"""Trackers follow a run: each gets the experiment, the figures of every window and the summary.

A tracker is added in one place, by registering a subclass of `Tracker`: in a file of this package, or in a plugin.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from alexnet_dist.config.schema import Experiment
from alexnet_dist.registry import trackers


class Tracker(ABC):
    """Follows one run, on its first rank. Whatever a method raises ends the tracker, not the run.

    Attributes:
        name: in the registry.
        label: in messages.
    """

    name: ClassVar[str]
    label: ClassVar[str]

    @classmethod
    @abstractmethod
    def is_on(cls, experiment: Experiment) -> bool:
        """Whether the experiment wants this tracker."""

    @abstractmethod
    def start(self, experiment: Experiment, folder: Path) -> str | None:
        """Begin to follow a run, or go on with it.

        Args:
            experiment: resolved.
            folder: the run's own; the tracker may write below folder / name, which run.overwrite deletes.

        Returns:
            How it follows, to be printed after the label; None prints nothing.
        """

    @abstractmethod
    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log numbers by name after so many optimiser steps."""

    @abstractmethod
    def finish(self, summary: Mapping[str, Any]) -> None:
        """Store the run's summary and close; must not take longer than about a minute."""


class Tracking:
    """Runs all trackers that are on. One that fails is reported once and dropped; the run and the others go on.

    Args:
        experiment: resolved.
        folder: the run's own.
        say: prints one line.
        active: False on every rank but the first.
    """

    def __init__(self, experiment: Experiment, folder: Path, say: Callable[[str], None], active: bool) -> None:
        self._say = say
        self._running: list[Tracker] = [kind() for kind in trackers if active and kind.is_on(experiment)]
        self._each(lambda tracker: self._start(tracker, experiment, folder))

    def _start(self, tracker: Tracker, experiment: Experiment, folder: Path) -> None:
        how = tracker.start(experiment, folder)
        if how is not None:
            self._say(f"{tracker.label}: {how}")

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log numbers by name after so many optimiser steps."""
        self._each(lambda tracker: tracker.log(values, step))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Store the run's summary and close."""
        self._each(lambda tracker: tracker.finish(summary))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for tracker in list(self._running):
            try:
                action(tracker)
            except Exception as error:
                # A service that only watches must not end the run that it watches, whatever goes wrong inside it.
                self._running.remove(tracker)
                reason = " ".join(str(error).split())[:200]
                self._say(f"warning: {tracker.label} stopped ({reason}); metrics.jsonl has everything")
