"""The figures of a table of costs, and how each grows with the ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

from alexnet_dist.costs.latency import HOP_SECONDS
from alexnet_dist.costs.units import three_digits

if TYPE_CHECKING:
    from alexnet_dist.scaling.count import Costs

FEW_RANKS = 8  # growth is judged from here on: (N - 1) / N grows by half before
CONSTANT = 1.15  # at most: (N - 1) / N grows by 1/7 from 8 ranks on
CONSTANT_WORD, LOGARITHMIC_WORD, FALLS_WORD = "constant", "logarithmic", "falls"


@dataclass(frozen=True)
class Figure:
    """A row.

    Attributes:
        name: with the unit, where `shown` does not give it.
        value: of the costs on one number of ranks.
        shown: a value as text.
    """

    name: str
    value: Callable[[Costs], float]
    shown: Callable[[float], str] = three_digits


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _bytes(value: float) -> str:
    return three_digits(value, "B")


def _milliseconds(value: float) -> str:
    return f"{value * 1e3:.1f} ms"


FIGURES = (
    Figure("strategy: collectives", lambda costs: costs.strategy.calls, _whole),
    Figure("strategy: messages of a rank", lambda costs: costs.strategy.messages, _whole),
    Figure("strategy: hops", lambda costs: costs.strategy.hops, _whole),
    Figure("strategy: sent", lambda costs: costs.strategy.bytes, _bytes),
    Figure("control: calls", lambda costs: costs.control.calls, _whole),
    Figure("control: sent", lambda costs: costs.control.bytes, _bytes),
    Figure("control: hops", lambda costs: costs.control.hops, _whole),
    Figure("control: time, computed", lambda costs: costs.control.hops * HOP_SECONDS, _milliseconds),
    Figure("random words drawn", lambda costs: costs.random_words),
    Figure("lines of Python run", lambda costs: costs.python_lines),
    Figure("CPU time, arithmetic included", lambda costs: costs.seconds, _milliseconds),
    Figure("written to the run directory", lambda costs: costs.written, _bytes),
    Figure("lines printed", lambda costs: costs.printed, _whole),
    Figure("start: control hops", lambda costs: costs.start.hops, _whole),
    Figure("start: time", lambda costs: costs.start_seconds, _milliseconds),
    Figure("memory beyond imports", lambda costs: costs.memory, _bytes),
    Figure("connections while training", lambda costs: costs.connections, _whole),
)


def growth(values: Mapping[int, float]) -> str:
    """How a figure grows with the ranks, in a word; a factor where it is more than logarithmic.

    Args:
        values: by number of ranks.
    """
    ranks = sorted(values)
    many = [number for number in ranks if number >= FEW_RANKS] or ranks
    figures = [values[number] for number in many]
    if max(figures) <= min(figures) * CONSTANT:
        return CONSTANT_WORD
    if figures == sorted(figures, reverse=True):
        return FALLS_WORD
    first, largest = figures[0], max(figures)
    if all(values[number] <= first * log2(number) / max(log2(many[0]), 1) for number in many):
        return LOGARITHMIC_WORD
    return f"x {largest / first:.3g}" if first else "from none"
