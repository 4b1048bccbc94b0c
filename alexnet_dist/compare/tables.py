"""A comparison as tables of text, the same for the console and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from alexnet_dist.compare.columns import SPEED, TABLES, Column
from alexnet_dist.compare.formatting import short
from alexnet_dist.compare.rows import Row
from alexnet_dist.registry import compare_columns
from alexnet_dist.telemetry.console import WIDTH

VERDICT_COLOURS = {"same": "green", "differs": "red", "unknown": "yellow", "": "default"}


@dataclass(frozen=True)
class Heading:
    """Of a column; see `Column`."""

    title: str
    align: Literal["left", "right"] = "right"
    shows_verdict: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        rows: cells, row by row.
        batches: of each row: a gap separates different ones.
        verdicts: of each row: "same", "differs", "unknown", or "" where there is nothing to judge.
    """

    title: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[str]]
    batches: Sequence[int]
    verdicts: Sequence[str]


def case_tables(rows: Sequence[Row]) -> list[TextTable]:
    """The tables of `columns.TABLES`."""
    return [case_table(name, rows) for name in TABLES]


def case_table(name: str, rows: Sequence[Row]) -> TextTable:
    """One of them, from the columns that are registered for it."""
    columns: list[Column] = [column for column in compare_columns if name in column.tables]
    shown = [row for row in rows if name == SPEED or row.figures is not None]
    return TextTable(
        TABLES[name],
        [Heading(column.title, column.align, column.shows_verdict) for column in columns],
        [[column.cell(row) for column in columns] for row in shown],
        [row.case.batch for row in shown],
        [row.verdict for row in shown],
    )


def link_table(links: Sequence[Mapping[str, Any]]) -> TextTable:
    """How fast the ranks reach each other.

    Args:
        links: as `machine.read_links` gives them.
    """
    left, right = ("link", "where"), ("ranks", "latency, us", "MB/s", "Gbit/s")
    headings = [*(Heading(title, "left") for title in left), *(Heading(title) for title in right)]
    rows = [
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
    title = "links: bytes that a rank sends, in the slowest group"
    return TextTable(title, headings, rows, [0] * len(rows), [""] * len(rows))


def notes(rows: Sequence[Row]) -> list[str]:
    """Why cases failed, have no verdict, are not the same training, or were not measured well."""
    failed = [f"{row.case.label}: {row.reason}" for row in rows if row.reason is not None]
    unjudged = [
        f"{row.case.label}: no verdict: {row.parity.failure}" for row in rows if row.parity and row.parity.failure
    ]
    wrong = [
        f"{row.case.label}: the gradient of {row.parity.where} is off by {row.parity.gradient:.1e}"
        for row in rows
        if row.parity and row.verdict == "differs"
    ]
    disturbed = [
        f"{row.case.label}: an efficiency of {row.figures.efficiency:.0%} is a disturbed measurement: another program "
        "computed while one of the two ran; measure again"
        for row in rows
        if row.figures and row.figures.disturbed
    ]
    return failed + unjudged + wrong + disturbed


def print_tables(title: str, tables: Sequence[TextTable], lines: Sequence[str]) -> None:
    """Print to the console; where that is no terminal, as wide as the tables need, at least 100 columns."""
    drawn = [_draw(table, f"{title}\n{table.title}" if table is tables[0] else table.title) for table in tables]
    console = Console()
    if not console.is_terminal:
        wide = Console(width=10_000)
        console = Console(width=max(WIDTH, *(wide.measure(table).minimum for table in drawn)))
    for table in drawn:
        console.print(table)
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _draw(table: TextTable, title: str) -> Table:
    drawn = Table(title=title, box=None, padding=(0, 1, 0, 0))
    for heading in table.headings:
        drawn.add_column(heading.title, justify=heading.align, no_wrap=True)
    for number, cells in enumerate(table.rows):
        if number and table.batches[number] != table.batches[number - 1]:
            drawn.add_row()
        colour = VERDICT_COLOURS[table.verdicts[number]]
        coloured = [
            f"[{colour}]{cell}[/]" if heading.shows_verdict else cell
            for heading, cell in zip(table.headings, cells, strict=True)
        ]
        drawn.add_row(*coloured)
    return drawn
