"""The comparison as tables: cells for the console and the report alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from alexnet_dist.compare.pairwise import seconds
from alexnet_dist.compare.results import COMMUNICATION, COMPUTE, DATA, OPTIMIZER, TOGETHER, Row

WIDTH = 100
LEFT = ("strategy", "verdict", "link", "where")


@dataclass(frozen=True)
class Grid:
    """A table of text; `batches` tells each row's batch, and `marks` its verdict: good, bad, unknown or none."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    batches: list[int]
    marks: list[str]


def speed_grid(rows: Sequence[Row]) -> Grid:
    """How fast each case is, and whether it is the same training."""
    columns = (
        "strategy", "wire", "ranks", "batch", "images/s", "95 %", "x best", "x 1 proc.", "effic.", "gradient",
        "verdict",
    )  # fmt: skip
    return Grid("speed and truth", columns, [_speed_cells(row) for row in rows], *_marks(rows))


def cause_grid(rows: Sequence[Row]) -> Grid:
    """Where the time of a step goes, and what is sent."""
    columns = (
        "strategy", "wire", "batch", "step", "compute", "comm.", "data", "optim.", "MB sent", "expected", "MFU",
    )  # fmt: skip
    measured = [row for row in rows if row.figures is not None]
    return Grid(
        "where a step's time goes, per rank", columns, [_cause_cells(row) for row in measured], *_marks(measured)
    )


def memory_grid(rows: Sequence[Row]) -> Grid:
    """What the fullest rank holds."""
    columns = (
        "strategy", "wire", "ranks", "batch", "M param.", "weights", "gradients", "optim.", "MB held", "expected",
        "peak GiB",
    )  # fmt: skip
    measured = [row for row in rows if row.figures is not None]
    cells = [_memory_cells(row) for row in measured]
    return Grid("memory of the fullest rank: MB between backward and update", columns, cells, *_marks(measured))


def link_grid(links: Sequence[Mapping[str, Any]]) -> Grid:
    """How fast ranks reach each other."""
    cells = [
        [
            link["what"],
            link["where"],
            str(link["ranks"]),
            f"{link['latency'] * 1e6:.0f}",
            short(link["bandwidth"] / 1e6),
            short(link["bandwidth"] * 8e-9),
        ]
        for link in links
    ]
    columns = ("link", "where", "ranks", "latency, us", "MB/s", "Gbit/s")
    return Grid(
        "links: bytes that a rank sends, the slowest group's", columns, cells, [0] * len(cells), [""] * len(cells)
    )


def _marks(rows: Sequence[Row]) -> tuple[list[int], list[str]]:
    return [row.case.batch for row in rows], [mark(row) for row in rows]


def mark(row: Row) -> str:
    """Of its verdict."""
    if row.parity is None or row.parity.failure is not None:
        return "unknown"
    return "good" if row.parity.same else "bad"


def _speed_cells(row: Row) -> list[str]:
    case, figures = row.case, row.figures
    start = [case.variant, figures.wire if figures else "-", str(case.ranks), str(case.global_batch)]
    if figures is None:
        return [*start, "failed", "-", "-", "-", "-", *_verdict_cells(row)]
    rate, best, one = figures.images_per_second, figures.against_best, figures.against_one
    return [
        *start,
        short(rate.value),
        f"{short(rate.low)} - {short(rate.high)}",
        f"{best.value:.2f}" if best else "-",
        f"{one.value:.2f}" if one else "-",
        f"{figures.efficiency:.0%}" if figures.efficiency is not None else "-",
        *_verdict_cells(row),
    ]


def _verdict_cells(row: Row) -> list[str]:
    if row.parity is None or row.parity.failure is not None:
        return ["-", "unknown"]
    rounded = "" if row.parity.rounded is None else f" ({row.parity.rounded:.0e})"
    return [f"{row.parity.gradient:.0e}{rounded}", "same" if row.parity.same else "DIFFERS"]


def _cause_cells(row: Row) -> list[str]:
    figures = row.figures
    assert figures is not None
    parts = figures.parts
    compute = parts[COMPUTE] if COMPUTE in parts else parts[TOGETHER]
    return [
        row.case.variant,
        figures.wire,
        str(row.case.global_batch),
        seconds(figures.step.value),
        seconds(compute),
        seconds(parts[COMMUNICATION]) if COMMUNICATION in parts else "-",
        seconds(parts[DATA]),
        seconds(parts[OPTIMIZER]),
        short(figures.sent / 1e6),
        short(figures.expected / 1e6),
        f"{figures.mfu:.0%}" if figures.mfu is not None else "-",
    ]


def _memory_cells(row: Row) -> list[str]:
    figures = row.figures
    assert figures is not None
    held = figures.held
    return [
        row.case.variant,
        figures.wire,
        str(row.case.ranks),
        str(row.case.global_batch),
        short(figures.parameters / 1e6),
        *(short(held[kind] / 1e6) for kind in ("parameters", "gradients", "optimizer")),
        short(sum(held.values()) / 1e6),
        short(sum(figures.expected_held.values()) / 1e6),
        f"{figures.memory / 2**30:.2f}",
    ]


def short(value: float) -> str:
    """A figure with three digits at least: 12,345, 244.0, 2.80, 0.164."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:.3g}"


def notes(rows: Sequence[Row]) -> list[str]:
    """Why rows failed or are not known to be the same training."""
    failed = [f"{row.case.label}: {row.reason}" for row in rows if row.reason is not None]
    unjudged = [
        f"{row.case.label}: no verdict: {row.parity.failure}" for row in rows if row.parity and row.parity.failure
    ]
    wrong = [
        f"{row.case.label}: the gradient of {row.parity.where} is off by {row.parity.gradient:.1e}"
        for row in rows
        if row.parity and mark(row) == "bad"
    ]
    return failed + unjudged + wrong


def print_grids(title: str, grids: Sequence[Grid], lines: Sequence[str]) -> None:
    """On the console, within 100 columns."""
    console = Console(width=None if Console().is_terminal else WIDTH)
    colours = {"good": "green", "bad": "red", "unknown": "yellow"}
    for number, grid in enumerate(grids):
        table = Table(title=f"{title}\n{grid.title}" if number == 0 else grid.title, box=None, padding=(0, 1, 0, 0))
        for column in grid.columns:
            table.add_column(column, justify="left" if column in LEFT else "right", no_wrap=True)
        for index, cells in enumerate(grid.rows):
            if index and grid.batches[index] != grid.batches[index - 1]:
                table.add_row()
            table.add_row(*_coloured(grid, cells, colours.get(grid.marks[index], "default")))
        console.print(table)
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _coloured(grid: Grid, cells: Sequence[str], colour: str) -> list[str]:
    return [f"[{colour}]{c}[/]" if column == "verdict" else c for column, c in zip(grid.columns, cells, strict=True)]
