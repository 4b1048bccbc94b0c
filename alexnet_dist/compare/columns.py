"""The columns of compare's tables: each is one entry, added here or by a plugin.

They are shown in the order in which they are registered; a plugin's come last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from alexnet_dist.compare.breakdown import COMMUNICATION, COMPUTE, COMPUTE_AND_COMMUNICATION, DATA, OPTIMIZER
from alexnet_dist.compare.formatting import seconds, short
from alexnet_dist.registry import compare_columns

if TYPE_CHECKING:
    from alexnet_dist.compare.rows import Figures, Row

# The tables and their titles. The first shows every case, the others those that ran.
SPEED, TIME, MEMORY = "speed", "time", "memory"
TABLES = {
    SPEED: "speed and parity",
    TIME: "where a step's time goes, per rank",
    MEMORY: "memory of the fullest rank: MB between backward and update",
}


@dataclass(frozen=True)
class Column:
    """A column of compare's tables, on the console, in the report and on W&B.

    Attributes:
        name: unique among all columns.
        title: its heading.
        tables: those that have it, of `TABLES`.
        cell: the text for a case.
        align: of text and heading.
        shows_verdict: colour the text by the case's parity verdict.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    cell: Callable[[Row], str]
    align: Literal["left", "right"] = "right"
    shows_verdict: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.tables) - set(TABLES):
            raise ValueError(f"column {self.name}: no table {', '.join(unknown)}; there are: {', '.join(TABLES)}")


def from_figures(text: Callable[[Figures], str], otherwise: str = "-") -> Callable[[Row], str]:
    """A cell from what the case measured; `otherwise` where it did not run."""
    return lambda row: otherwise if row.figures is None else text(row.figures)


def _interval(figures: Figures) -> str:
    return f"{short(figures.images_per_second.low)} - {short(figures.images_per_second.high)}"


def _against_best(figures: Figures) -> str:
    return f"{figures.against_best.value:.2f}" if figures.against_best else "-"


def _against_one(figures: Figures) -> str:
    return f"{figures.against_one.value:.2f}" if figures.against_one else "-"


def _percent(fraction: float | None) -> str:
    return f"{fraction:.0%}" if fraction is not None else "-"


def _efficiency(figures: Figures) -> str:
    return _percent(figures.efficiency) + ("?" if figures.disturbed else "")


def _gradient(row: Row) -> str:
    if row.parity is None or row.parity.failure is not None:
        return "-"
    return f"{row.parity.gradient:.0e}" + ("" if row.parity.rounded is None else f" ({row.parity.rounded:.0e})")


def _verdict(row: Row) -> str:
    return "DIFFERS" if row.verdict == "differs" else row.verdict


def _part(*parts: str) -> Callable[[Row], str]:
    """Seconds of the first of these parts that the case has."""
    return from_figures(
        lambda figures: next((seconds(figures.parts[part]) for part in parts if part in figures.parts), "-")
    )


def _held(kind: str) -> Callable[[Row], str]:
    return from_figures(lambda figures: short(figures.held_bytes[kind] / 1e6))


for _column in (
    Column("strategy", "strategy", tuple(TABLES), lambda row: row.case.variant, align="left"),
    Column("wire", "wire", tuple(TABLES), from_figures(lambda figures: figures.wire)),
    Column("ranks", "ranks", (SPEED, MEMORY), lambda row: str(row.case.ranks)),
    Column("batch", "batch", tuple(TABLES), lambda row: str(row.case.global_batch)),
    Column(
        "images_per_second",
        "images/s",
        (SPEED,),
        from_figures(lambda figures: short(figures.images_per_second.value), otherwise="not measured"),
    ),
    Column("interval", "95 %", (SPEED,), from_figures(_interval)),
    Column("against_best", "x best", (SPEED,), from_figures(_against_best)),
    Column("against_one", "x 1 proc.", (SPEED,), from_figures(_against_one)),
    Column("efficiency", "effic.", (SPEED,), from_figures(_efficiency)),
    Column("gradient", "gradient", (SPEED,), _gradient),
    Column("verdict", "verdict", (SPEED,), _verdict, align="left", shows_verdict=True),
    Column("step", "step", (TIME,), from_figures(lambda figures: seconds(figures.step.value))),
    Column("compute", "compute", (TIME,), _part(COMPUTE, COMPUTE_AND_COMMUNICATION)),
    Column("communication", "comm.", (TIME,), _part(COMMUNICATION)),
    Column("data_wait", "data", (TIME,), _part(DATA)),
    Column("optimizer", "optim.", (TIME,), _part(OPTIMIZER)),
    Column("sent", "MB sent", (TIME,), from_figures(lambda figures: short(figures.sent_bytes / 1e6))),
    Column("expected_sent", "expected", (TIME,), from_figures(lambda figures: short(figures.expected_bytes / 1e6))),
    Column("mfu", "MFU", (TIME,), from_figures(lambda figures: _percent(figures.mfu))),
    Column("parameters", "M param.", (MEMORY,), from_figures(lambda figures: short(figures.parameters / 1e6))),
    Column("held_weights", "weights", (MEMORY,), _held("parameters")),
    Column("held_gradients", "gradients", (MEMORY,), _held("gradients")),
    Column("held_optimizer", "optim.", (MEMORY,), _held("optimizer")),
    Column("held", "MB held", (MEMORY,), from_figures(lambda figures: short(sum(figures.held_bytes.values()) / 1e6))),
    Column(
        "expected_held",
        "expected",
        (MEMORY,),
        from_figures(lambda figures: short(sum(figures.expected_held_bytes.values()) / 1e6)),
    ),
    Column("peak", "peak GiB", (MEMORY,), from_figures(lambda figures: f"{figures.peak_memory_bytes / 2**30:.2f}")),
):
    compare_columns.register(_column)
