"""Time between marks on the host or on the device, without making the loop wait."""

import time
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import final

import torch


class Clock(ABC):
    @abstractmethod
    def mark(self) -> None:
        """Mark this moment in the device's work."""

    @abstractmethod
    def lapse(self) -> list[float]:
        """Seconds between neighbouring marks since the last call; the last mark starts the next series."""


@final
class HostClock(Clock):
    """For devices that work while the host waits, such as the CPU."""

    def __init__(self) -> None:
        self._marks: list[float] = []

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def lapse(self) -> list[float]:
        marks, self._marks = self._marks, self._marks[-1:]
        return [after - before for before, after in pairwise(marks)]


@final
class CudaClock(Clock):
    """Events on the current stream: the time at which the device got there, not the host."""

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
