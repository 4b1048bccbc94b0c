"""Measures the time between marks, and how much of it was waiting.

On the host's clock or on the device's, without waiting for the device.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import torch


@dataclass(frozen=True)
class Interval:
    """The time between two marks: seconds, and how many of them were waiting."""

    seconds: float
    waited: float


class Clock(ABC):
    """Marks points in time; tells the intervals between them later."""

    @abstractmethod
    def mark(self) -> None:
        """Mark the end of the work given to the device so far."""

    @abstractmethod
    def waiting(self) -> AbstractContextManager[None]:
        """A context in which the device does nothing but wait."""

    @abstractmethod
    def intervals(self) -> Callable[[], list[Interval]]:
        """The intervals between consecutive marks, from the last mark of the previous call on.

        Returns:
            A function that waits until the device has done all that it was given before this call, including copies of
            figures; any thread may call it.
        """


@dataclass
class _HostMark:
    time: float
    waited: float = 0.0  # since this mark


@final
class HostClock(Clock):
    """For devices that compute while the host waits, such as the CPU."""

    def __init__(self) -> None:
        self._marks: list[_HostMark] = []

    def mark(self) -> None:
        self._marks.append(_HostMark(time.perf_counter()))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        before = time.perf_counter()
        yield
        if self._marks:
            self._marks[-1].waited += time.perf_counter() - before

    def intervals(self) -> Callable[[], list[Interval]]:
        marks, self._marks = self._marks, [_HostMark(mark.time) for mark in self._marks[-1:]]
        return lambda: [Interval(after.time - before.time, before.waited) for before, after in pairwise(marks)]


@dataclass
class _CudaMark:
    event: torch.cuda.Event
    waits: list[tuple[torch.cuda.Event, torch.cuda.Event]] = field(default_factory=list)  # since this mark


@final
class CudaClock(Clock):
    """Events on the stream that was current first: they take the time when the device reaches them."""

    def __init__(self) -> None:
        self._stream = torch.cuda.current_stream()
        self._marks: list[_CudaMark] = []

    def mark(self) -> None:
        self._marks.append(_CudaMark(self._event()))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        before = self._event() if torch.cuda.current_stream() == self._stream else None
        yield
        if before is not None and self._marks:
            self._marks[-1].waits.append((before, self._event()))

    def _event(self, blocking: bool = False) -> torch.cuda.Event:
        """An event, recorded. A thread that waits for a `blocking` one sleeps; else it spins, and keeps a core busy."""
        event = torch.cuda.Event(enable_timing=True, blocking=blocking)
        event.record(self._stream)
        return event

    def intervals(self) -> Callable[[], list[Interval]]:
        marks, self._marks = self._marks, [_CudaMark(mark.event) for mark in self._marks[-1:]]
        given = self._event(blocking=True)
        return lambda: self._read(marks, given)

    @staticmethod
    def _read(marks: Sequence[_CudaMark], given: torch.cuda.Event) -> list[Interval]:
        given.synchronize()
        return [
            Interval(
                before.event.elapsed_time(after.event) / 1e3,
                sum(start.elapsed_time(end) for start, end in before.waits) / 1e3,
            )
            for before, after in pairwise(marks)
        ]


def clock_of(device: torch.device) -> Clock:
    return CudaClock() if device.type == "cuda" else HostClock()
