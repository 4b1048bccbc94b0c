"""A comparison as files: report.html (one file that opens anywhere), report.md, results.json and PNG plots."""

import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

from alexnet_dist.compare.case_parity import wire_tolerance
from alexnet_dist.compare.cases import Case, Run, experiment_of, launcher_of, measured_steps, run_program
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.machine import read_links
from alexnet_dist.compare.pairwise import PairwiseResult, pairwise_results, summary_sentence
from alexnet_dist.compare.plots import draw_all
from alexnet_dist.compare.records import read_rounds
from alexnet_dist.compare.rows import Row, rows_of
from alexnet_dist.compare.tables import TextTable, case_tables, link_table, notes
from alexnet_dist.registry import precisions
from alexnet_dist.telemetry.run_files import write_json

HTML, MARKDOWN, RESULTS = "report.html", "report.md", "results.json"
# Of results.json; it goes up when a field is renamed or changes its meaning.
RESULTS_FORMAT = 3
PNG_DPI = 150


@dataclass(frozen=True)
class Report:
    """The contents of a comparison's report.

    Attributes:
        pairwise: which case is faster, group by group.
        summary: the same in one sentence.
        links: how fast the ranks of the largest case reach each other.
        facts: what is needed to repeat the comparison: hardware, versions, settings, seed.
    """

    comparison: Comparison
    rows: Sequence[Row]
    pairwise: Sequence[PairwiseResult]
    summary: str
    links: Sequence[Mapping[str, Any]]
    facts: Mapping[str, str]

    @property
    def title(self) -> str:
        experiment = experiment_of(self.comparison, self.rows[0].case)
        return f"{experiment.net.name}, {experiment.data.name}, {experiment.train.precision}"

    @property
    def tables(self) -> list[TextTable]:
        return [*case_tables(self.rows), *([link_table(self.links)] if self.links else [])]


def report_of(comparison: Comparison, cases: Sequence[Case]) -> Report:
    """The report of what the runs recorded."""
    rows = rows_of(comparison, cases)
    pairwise = pairwise_results(rows, comparison.compare.noise)
    links = read_links(comparison, max(case.ranks for case in cases if case.error is None))
    return Report(comparison, rows, pairwise, summary_sentence(rows, pairwise), links, _facts(comparison, cases))


def _facts(comparison: Comparison, cases: Sequence[Case]) -> dict[str, str]:
    settings = comparison.compare
    facts = {
        "date": str(date.today()),
        "rounds": f"{settings.rounds}, in alternating order; {settings.control_rounds} with control runs",
        "steps": f"{_steps(comparison, cases)} measured after {settings.warm_up} of warm-up, in each run",
        "scaling": settings.scaling,
        "tie": f"a ratio whose 95 % interval includes 1, or that is within {settings.noise:.0%} of it",
        "seed": str(comparison.run.seed),
    }
    summaries = [runs[0].summary for case in cases if (runs := read_rounds(comparison, case))]
    if summaries:
        facts["devices"] = ", ".join(sorted({name for summary in summaries for name in summary["device_names"]}))
        facts["hosts"] = ", ".join(sorted({host for summary in summaries for host in summary["hosts"]}))
        facts["versions"] = ", ".join(f"{name} {number}" for name, number in summaries[0]["versions"].items())
    return facts


def _steps(comparison: Comparison, cases: Sequence[Case]) -> str:
    """As 10, or as 10-240 where cases differ."""
    counts = {measured_steps(comparison, case) for case in cases if case.error is None}
    return "-".join(str(count) for count in sorted({min(counts), max(counts)}))


def command_of(comparison: Comparison, run: Run) -> str:
    """The command that starts a run."""
    return shlex.join(launcher_of(comparison, run.name).line(run.case.ranks, run_program(comparison, run)))


def write_report(report: Report) -> dict[str, Path]:
    """Write every file into the comparison's folder.

    Returns:
        The PNG of each plot, by name.
    """
    comparison, folder = report.comparison, report.comparison.folder
    plots = draw_all(report.rows)
    pictures = {name: folder / f"{name}.png" for name in plots}
    for name, (_, figure) in plots.items():
        figure.savefig(pictures[name], dpi=PNG_DPI)
    values = {
        "report": report,
        "notes": notes(report.rows),
        "commands": [command_of(comparison, Run(row.case, 1)) for row in report.rows if row.case.error is None],
        "plots": {name: (title, _svg(figure)) for name, (title, figure) in plots.items()},
        "tolerance": f"{precisions['fp32'].tolerance:.0e}",
        "wire_tolerance": f"{wire_tolerance(2):.1e}",
    }
    templates = Environment(
        loader=PackageLoader("alexnet_dist.compare"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in (HTML, MARKDOWN):
        (folder / name).write_text(templates.get_template(name).render(values), encoding="utf-8")
    write_json(folder / RESULTS, _results(report))
    return pictures


def _svg(figure: Figure) -> Markup:
    """The figure as SVG that can be embedded in a page: without the XML header."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])


def _results(report: Report) -> dict[str, Any]:
    return {
        "format": RESULTS_FORMAT,
        "summary": report.summary,
        "facts": report.facts,
        "pairwise": [asdict(result) for result in report.pairwise],
        "rows": [asdict(row) for row in report.rows],
        "links": report.links,
        "settings": report.comparison.model_dump(),
    }
