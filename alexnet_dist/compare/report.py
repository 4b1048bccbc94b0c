"""The comparison as files: report.html (one file that opens anywhere), report.md, results.json and PNG plots."""

import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

from alexnet_dist.compare.cases import Case, Run, experiment_of, run_flags
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.machine import read_links
from alexnet_dist.compare.pairwise import PairwiseResult
from alexnet_dist.compare.plots import draw_all
from alexnet_dist.compare.results import Row, records_of
from alexnet_dist.compare.tables import Grid, cause_grid, link_grid, memory_grid, notes, speed_grid
from alexnet_dist.launcher.processes import TRAIN, Starter
from alexnet_dist.telemetry.run_files import write_json

HTML, MARKDOWN, RESULTS = "report.html", "report.md", "results.json"
PNG_DPI = 150


@dataclass(frozen=True)
class Conclusion:
    """A comparison with what it came to."""

    comparison: Comparison
    rows: Sequence[Row]
    pairwise_results: Sequence[PairwiseResult]
    headline: str

    @property
    def links(self) -> list[dict[str, Any]]:
        """How fast the ranks of the largest case reach each other."""
        return read_links(self.comparison, max(row.case.ranks for row in self.rows if row.case.refusal is None))

    @property
    def title(self) -> str:
        experiment = experiment_of(self.comparison, self.rows[0].case)
        return f"{experiment.net.name}, {experiment.data.name}, {experiment.train.precision}"


def facts(conclusion: Conclusion) -> dict[str, str]:
    """What one must know to repeat it: hardware, versions, settings, seed."""
    settings = conclusion.comparison.compare
    summaries = [
        records[0].summary for row in conclusion.rows if (records := records_of(conclusion.comparison, row.case))
    ]
    found = {
        "date": str(date.today()),
        "rounds": f"{settings.rounds}, in alternating order; {settings.control_rounds} with control runs",
        "steps": f"{settings.steps} measured after {settings.warm_up} of warm-up, in each run",
        "scaling": settings.scaling,
        "tie": f"a ratio whose 95 % interval includes 1, or that lies within {settings.noise:.0%} of it",
        "seed": str(conclusion.comparison.run.seed),
    }
    if summaries:
        devices = sorted({name for summary in summaries for name in summary["device_names"]})
        hosts = sorted({host for summary in summaries for host in summary["hosts"]})
        found["devices"] = ", ".join(devices)
        found["hosts"] = ", ".join(hosts)
        found["versions"] = ", ".join(f"{name} {number}" for name, number in summaries[0]["versions"].items())
    return found


def command(comparison: Comparison, case: Case) -> str:
    """The line that starts a case's first round."""
    settings = comparison.compare
    starter = Starter(settings.start_with, settings.timeout, Path())
    return shlex.join(starter.line(case.ranks, [*TRAIN, *run_flags(comparison, Run(case, 1))]))


def grids(conclusion: Conclusion) -> list[Grid]:
    """The tables, of the report and of the console."""
    rows, links = conclusion.rows, conclusion.links
    return [speed_grid(rows), cause_grid(rows), memory_grid(rows), *([link_grid(links)] if links else [])]


def write_report(conclusion: Conclusion) -> dict[str, Path]:
    """Write every file into the comparison's folder.

    Returns:
        By plot, the PNG.
    """
    folder, rows = conclusion.comparison.folder, conclusion.rows
    drawn = draw_all(rows)
    pictures = {name: folder / f"{name}.png" for name in drawn}
    for name, (_, figure) in drawn.items():
        figure.savefig(pictures[name], dpi=PNG_DPI)
    known = {
        "title": conclusion.title,
        "headline": conclusion.headline,
        "grids": grids(conclusion),
        "notes": notes(rows),
        "pairwise_results": conclusion.pairwise_results,
        "facts": facts(conclusion),
        "commands": [command(conclusion.comparison, row.case) for row in rows if row.case.refusal is None],
        "plots": {name: (title, _svg(figure)) for name, (title, figure) in drawn.items()},
    }
    templates = Environment(
        loader=PackageLoader("alexnet_dist.compare"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in (HTML, MARKDOWN):
        (folder / name).write_text(templates.get_template(name).render(known), encoding="utf-8")
    write_json(folder / RESULTS, _results(conclusion, known["facts"]))
    return pictures


def _svg(figure: Figure) -> Markup:
    """For the inside of a page: without the XML header."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])


def _results(conclusion: Conclusion, known: Any) -> dict[str, Any]:
    settings = conclusion.comparison.model_dump()
    rows = [asdict(row) for row in conclusion.rows]
    results = {
        "headline": conclusion.headline,
        "facts": known,
        "pairwise_results": [asdict(duel) for duel in conclusion.pairwise_results],
    }
    return {**results, "rows": rows, "links": conclusion.links, "settings": settings}
