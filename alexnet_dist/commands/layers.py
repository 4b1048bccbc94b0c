"""`alexnet-dist layers`: a net as a table, as JSON, or as a drawing. Nothing is computed with it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from alexnet_dist import registry
from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.load import load
from alexnet_dist.config.output import check_output, format_of, new_file
from alexnet_dist.config.precisions import Precision, precision_of
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.config.schema import Experiment
from alexnet_dist.config.values import FilePath, Group
from alexnet_dist.costs.collectives import sent_by_all_reduce
from alexnet_dist.costs.layers import LayerRow, layer_rows, totals
from alexnet_dist.costs.operations import training_operations
from alexnet_dist.costs.units import counted, three_digits
from alexnet_dist.errors import DONE
from alexnet_dist.nets.table import Shape, Table
from alexnet_dist.strategies.parts.cut_check import check_cut

ABOUT = """A net layer by layer: shapes, parameters, operations, and the bytes that cross between its towers.

alexnet-dist layers --net.name alexnet_2012
alexnet-dist layers --net.name alexnet_2012 --net.exchange "[fc8]" --output columns.svg

Without --data.name the net has its own number of classes and channels.
What crosses between ranks is in the dtype that --train.precision computes in.
"""
ENDINGS = {".txt": "table", ".json": "json", ".svg": "svg"}


class LayersFlags(Group):
    format: Literal["table", "json", "svg"] | None = Field(
        None,
        description="json: every figure; svg: a drawing after Figure 2 of the paper; default: what the output's ending "
        "says, else a table",
    )
    output: FilePath | None = Field(
        None, description="the file to write, which must not exist; default: standard output"
    )
    ranks: int | None = Field(None, ge=1, le=16, description="over which the net is cut; default: one for each tower")


FLAGS = Flags(LayersFlags, Experiment)


@dataclass(frozen=True)
class LayersReport:
    """What is shown.

    Attributes:
        ranks: over which the net is cut.
        data_parallel_bytes: what each of that many ranks sends in a step if it holds the whole net instead.
    """

    table: Table
    ranks: int
    precision: Precision
    rows: Sequence[LayerRow]

    @property
    def data_parallel_bytes(self) -> int:
        return sent_by_all_reduce(self.table.parameters * self.precision.parameter_bytes, self.ranks)


def run(flags: Sequence[str]) -> int:
    """Show the net.

    Args:
        flags: of an experiment, `--format`, `--output` and `--ranks`.

    Raises:
        UsageError: the flags are wrong, or the file cannot be written.
    """
    own, fields = FLAGS.split(flags)
    writers = {"table": _table_text, "json": _json, "svg": _svg}
    form: str | None = own.format
    if own.output is not None:
        check_output(Path(own.output))
        form = form or format_of(Path(own.output), ENDINGS, "table")
    text = writers[form or "table"](_report(_experiment(fields), own.ranks))
    if own.output is None:
        print(text, end="")
        return DONE
    with new_file(Path(own.output)) as path:
        path.write_text(text, encoding="utf-8")
    print(f"wrote {own.output}")
    return DONE


def _experiment(fields: list[str]) -> Experiment:
    """Resolved; the data set counts only where the user names one."""
    given = load(fields)
    if "name" not in given.data.model_fields_set:
        given = given.replace("data", name="synthetic")
    return resolve(given, 1)


def _report(experiment: Experiment, ranks: int | None) -> LayersReport:
    table = table_of(experiment.net)
    count = table.towers if ranks is None else ranks
    check_cut(table, count)
    precision = precision_of(experiment)
    return LayersReport(table, count, precision, layer_rows(table, count, precision.compute_bytes))


def _json(report: LayersReport) -> str:
    table, rows = report.table, report.rows
    values: dict[str, Any] = {
        "net": table.name,
        "towers": table.towers,
        "ranks": report.ranks,
        "input": [table.channels, table.size, table.size],
        "wire_dtype": report.precision.compute,
        "layers": [asdict(row) for row in rows],
        "totals": asdict(totals(rows)),
        "training_operations": training_operations(table),
        "data_parallel_bytes": report.data_parallel_bytes,
    }
    return json.dumps(values, indent=2) + "\n"


def _table_text(report: LayersReport) -> str:
    """At most 100 columns wide, whatever the terminal."""
    from rich.console import Console
    from rich.table import Table as TextTable

    from alexnet_dist.telemetry.console import WIDTH

    drawn = TextTable(title=_headline(report), box=None, padding=(0, 1, 0, 0), show_footer=True)
    sums = totals(report.rows)
    headings = {
        "layer": "total",
        "one output sees": "",
        "output": "",
        "parameters": f"{sums.parameters:,}",
        "multiply-adds": f"{sums.multiply_adds:,}",
        "values": f"{sums.activations:,}",
        "sent forward": f"{sums.bytes_forward:,}",
        "backward": f"{sums.bytes_backward:,}",
    }
    for heading, total in headings.items():
        left = heading in ("layer", "one output sees", "output")
        drawn.add_column(heading, total, justify="left" if left else "right", no_wrap=True)
    for row in report.rows:
        numbers = (row.parameters, row.multiply_adds, row.activations, row.bytes_forward, row.bytes_backward)
        drawn.add_row(row.layer, _seen(row), _shape(row.outputs), *(f"{n:,}" if n else "" for n in numbers))
    console = Console(width=WIDTH)
    with console.capture() as text:
        console.print(drawn)
        for line in _notes(report):
            console.print(line, highlight=False, markup=False)
    return text.get()


def _svg(report: LayersReport) -> str:
    from alexnet_dist.nets.figure import draw

    weighted = [row for row in report.rows if row.parameters]
    figures = {
        "parameters": {row.layer: three_digits(row.parameters) for row in weighted},
        "multiply-adds": {row.layer: three_digits(row.multiply_adds) for row in weighted},
    }
    crossing = {row.layer: _crossing(row) for row in report.rows if row.kind == "exchange"}
    return draw(report.table, report.ranks, [_headline(report), *_notes(report), *_legend(report)], crossing, figures)


def _headline(report: LayersReport) -> str:
    table = report.table
    size, towers = _shape((table.channels, table.size, table.size)), counted(table.towers, "tower")
    return (
        f"{table.name}, {size}, {towers}: {table.parameters:,} parameters, "
        f"{three_digits(table.multiply_adds)} multiply-adds"
    )


def _notes(report: LayersReport) -> list[str]:
    ranks, sums, dtype = report.ranks, totals(report.rows), report.precision.compute
    if ranks == 1:
        return ["On one rank nothing crosses; --ranks 2 shows what does on two."]
    forward, backward, gradients = (
        three_digits(size, "B") for size in (sums.bytes_forward, sums.bytes_backward, report.data_parallel_bytes)
    )
    batch = report.data_parallel_bytes / (sums.bytes_forward + sums.bytes_backward)
    return [
        f"On {ranks} ranks each sends {forward} per image forward and {backward} backward, in {dtype}.",
        f"Data parallelism sends {gradients} of gradients a step: as much as this at a batch of {batch:,.0f}.",
    ]


def _legend(report: LayersReport) -> list[str]:
    """What the drawing's colours mean."""
    if max(report.table.towers, report.ranks) == 1:
        return []
    figures = ", and what each rank sends there for one image" if report.ranks > 1 else ""
    return [f"Grey: taken from the same tower's maps. Orange: from another's{figures}."]


def _crossing(row: LayerRow) -> list[str]:
    """What crosses at an exchange, for the drawing."""
    if not row.bytes_forward:
        return ["towers meet"]
    if not row.bytes_backward:
        return [three_digits(row.bytes_forward, "B"), "forward only"]
    return [three_digits(row.bytes_forward, "B"), "each way"]


def _seen(row: LayerRow) -> str:
    """As 11x11x3 for a kernel with its channels, 9216 for a fully connected layer's inputs."""
    match row.kind:
        case "norm":
            return f"{row.sees[0]} maps"
        case "pool":
            return f"{row.sees[1]}x{row.sees[2]}"
    return _shape(row.sees)


def _shape(shape: Shape) -> str:
    """As 55x55x96: height, width, channels."""
    return "x".join(str(n) for n in (*shape[1:], *shape[:1]))


COMMAND = registry.commands.register(
    Command("layers", "a net by layer: shapes, operations, what crosses; as a drawing, too", run, FLAGS, ABOUT)
)
