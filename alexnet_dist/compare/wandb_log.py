"""A comparison on W&B: one group with a run per case, and a summary run with the table and the plots.

Logged when everything is measured: W&B's service takes cores, which would be measured with the rest.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.compare.cases import experiment_of
from alexnet_dist.compare.columns import SPEED
from alexnet_dist.compare.report import Report
from alexnet_dist.compare.rows import Figures, Row
from alexnet_dist.compare.tables import case_table
from alexnet_dist.telemetry.trackers.wandb import FINISH_SECONDS, INIT_SECONDS, wandb_mode


def log_to_wandb(report: Report, pictures: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Log the comparison where the settings want it. A failure of W&B is printed and does not fail the comparison.

    Args:
        pictures: the PNG of each plot, by name.
        say: prints one line.
    """
    if not report.comparison.tracking.wandb:
        return
    mode, folder = wandb_mode(), report.comparison.folder
    try:
        for row in report.rows:
            if row.figures is not None:
                _log_case(report, row, row.figures, mode)
        _log_summary(report, pictures, mode)
    except Exception as error:
        # A service that only watches must not end the comparison, whatever goes wrong inside it.
        say(f"warning: W&B stopped ({' '.join(str(error).split())[:200]}); the report has everything")
        return
    say(f"W&B: {mode}" + (f"; upload with: wandb sync {folder}/wandb/*" if mode == "offline" else ""))


def _start(report: Report, name: str, config: Mapping[str, Any], mode: str) -> Any:
    import wandb  # here and below: it takes most of a second

    comparison = report.comparison
    settings = wandb.Settings(silent=True, console="off", init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS)
    return wandb.init(
        project=comparison.tracking.project,
        group=comparison.tracking.group or comparison.folder.name,
        name=name,
        config=dict(config),
        dir=comparison.folder,
        mode=mode,  # type: ignore[arg-type]  # may be the user's word
        settings=settings,
    )


def _log_case(report: Report, row: Row, figures: Figures, mode: str) -> None:
    run = _start(report, row.case.label, experiment_of(report.comparison, row.case).model_dump(), mode)
    for step, loss in enumerate(figures.losses, start=1):
        run.log({"loss": float("nan") if loss is None else loss}, step=step)
    run.summary.update(
        {
            "images_per_second": figures.images_per_second.value,
            "step_seconds": figures.step.value,
            "sent_bytes": figures.sent_bytes,
            "peak_memory_bytes": figures.peak_memory_bytes,
            "same_training": row.verdict == "same",
            **{f"seconds/{part}": value for part, value in figures.parts.items()},
        }
    )
    run.finish()


def _log_summary(report: Report, pictures: Mapping[str, Path], mode: str) -> None:
    import wandb

    table, comparison = case_table(SPEED, report.rows), report.comparison
    run = _start(report, f"{comparison.folder.name}-summary", comparison.model_dump(), mode)
    columns: list[str | int] = [heading.title for heading in table.headings]
    run.log(
        {
            "comparison": wandb.Table(columns=columns, data=[list(cells) for cells in table.rows]),
            **{name: wandb.Image(str(path)) for name, path in pictures.items()},
        }
    )
    run.summary["summary"] = report.summary
    run.finish()
