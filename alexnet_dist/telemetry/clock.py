"""Measures the time between marks, on the host's clock or on the device's, without waiting for the device."""

import time
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import final

import torch


class Clock(ABC):
    @abstractmethod
    def mark(self) -> None:
        """Mark the end of the work given to the device so far."""

    @abstractmethod
    def lapse(self) -> list[float]:
        """Seconds between consecutive marks since the last call, whose last mark counts as the first of these."""


@final
class HostClock(Clock):
    """For devices that compute while the host waits, such as the CPU."""

    def __init__(self) -> None:
        self._marks: list[float] = []

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def lapse(self) -> list[float]:
        marks, self._marks = self._marks, self._marks[-1:]
        return [after - before for before, after in pairwise(marks)]


@final
class CudaClock(Clock):
    """Events on the current stream: they take the time when the device reaches them."""

    def __init__(self) -> None:
        self._marks: list[torch.cuda.Event] = []

    def mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def lapse(self) -> list[float]:
        marks, self._marks = self._marks, self._marks[-1:]
        marks[-1].synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(marks)]


def clock_of(device: torch.device) -> Clock:
    return CudaClock() if device.type == "cuda" else HostClock()
