"""The comparison on W&B: one group, a run a case, and a summary run with table and plots.

Written when everything is measured: W&B's service takes cores, and would be measured with the rest.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.compare.cases import experiment_of
from alexnet_dist.compare.report import Conclusion
from alexnet_dist.compare.results import Figures, Row
from alexnet_dist.compare.tables import speed_grid
from alexnet_dist.telemetry.trackers.wandb import FINISH_SECONDS, INIT_SECONDS, wandb_mode


def track(conclusion: Conclusion, pictures: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Log the comparison; a failure of W&B is said, and is no failure of the comparison."""
    if not conclusion.comparison.tracking.wandb:
        return
    mode, folder = wandb_mode(), conclusion.comparison.folder
    try:
        for row in conclusion.rows:
            if row.figures is not None:
                _track_case(conclusion, row, row.figures, mode)
        _track_summary(conclusion, pictures, mode)
    except Exception as error:
        # Whatever goes wrong inside a service that only watches must not end what it watches.
        say(f"warning: W&B stopped ({' '.join(str(error).split())[:200]}); the report has everything")
        return
    say(f"W&B: {mode}" + (f"; upload with: wandb sync {folder}/wandb/*" if mode == "offline" else ""))


def _start(conclusion: Conclusion, name: str, config: Mapping[str, Any], mode: str) -> Any:
    import wandb  # here and below: it takes most of a second

    comparison = conclusion.comparison
    settings = wandb.Settings(silent=True, console="off", init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS)
    return wandb.init(
        project=comparison.tracking.project,
        group=comparison.tracking.group or comparison.folder.name,
        name=name,
        config=dict(config),
        dir=comparison.folder,
        mode=mode,  # type: ignore[arg-type]  # the user's word
        settings=settings,
    )


def _track_case(conclusion: Conclusion, row: Row, figures: Figures, mode: str) -> None:
    run = _start(conclusion, row.case.label, experiment_of(conclusion.comparison, row.case).model_dump(), mode)
    for step, loss in enumerate(figures.losses, start=1):
        run.log({"loss": float("nan") if loss is None else loss}, step=step)
    run.summary.update(
        {
            "images_per_second": figures.images_per_second.value,
            "step_seconds": figures.step.value,
            "sent_bytes": figures.sent,
            "peak_memory_bytes": figures.memory,
            "same_training": row.parity is not None and row.parity.same,
            **{f"seconds/{part}": value for part, value in figures.parts.items()},
        }
    )
    run.finish()


def _track_summary(conclusion: Conclusion, pictures: Mapping[str, Path], mode: str) -> None:
    import wandb

    grid = speed_grid(conclusion.rows)
    run = _start(conclusion, f"{conclusion.comparison.folder.name}-summary", conclusion.comparison.model_dump(), mode)
    run.log(
        {
            "comparison": wandb.Table(columns=list(grid.columns), data=grid.rows),
            **{name: wandb.Image(str(path)) for name, path in pictures.items()},
        }
    )
    run.summary["headline"] = conclusion.headline
    run.finish()
