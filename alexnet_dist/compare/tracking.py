"""A comparison in the trackers of `tracking.with`: one group, with a run per case and one for the table and the plots.

Logged only once everything is measured: a tracker uses the cores, and would slow what is being measured.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.compare.cases import experiment_of
from alexnet_dist.compare.columns import SPEED
from alexnet_dist.compare.report import Report
from alexnet_dist.compare.rows import Figures
from alexnet_dist.compare.tables import case_table
from alexnet_dist.config.schema import Experiment
from alexnet_dist.telemetry.trackers import Tracked, Tracking


def log_comparison(report: Report, pictures: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Log the comparison. A failure of a tracker is printed and does not fail the comparison.

    Args:
        pictures: the PNG of each plot, by name.
        say: prints one line.
    """
    comparison, lines = report.comparison, list[str]()

    def track(experiment: Experiment, name: str) -> Tracking:
        group = comparison.tracking.group or comparison.folder.name
        return Tracking(Tracked(experiment, comparison.folder, group=group, case=name), lines.append)

    for row in report.rows:
        if row.figures is not None:
            tracking = track(experiment_of(comparison, row.case), row.case.label)
            for step, loss in enumerate(row.figures.losses, start=1):
                tracking.log({"loss": float("nan") if loss is None else loss}, step)
            tracking.finish(_summary(row.figures, row.verdict == "same"))
    table = case_table(SPEED, report.rows)
    tracking = track(comparison, f"{comparison.folder.name}-summary")
    tracking.show_table("comparison", [heading.title for heading in table.headings], table.rows)
    tracking.show_pictures(pictures)
    tracking.finish({"summary": report.summary})
    for line in dict.fromkeys(lines):  # every case says the same
        say(line)


def _summary(figures: Figures, same: bool) -> dict[str, Any]:
    return {
        "images_per_second": figures.images_per_second.value,
        "step_seconds": figures.step.value,
        "sent_bytes": figures.sent_bytes,
        "peak_memory_bytes": figures.peak_memory_bytes,
        "same_training": same,
        **{f"seconds/{part}": value for part, value in figures.parts.items()},
    }
