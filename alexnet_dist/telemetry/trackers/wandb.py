"""Weights & Biases, through Accelerate's tracker."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet_dist.config.schema import Experiment
from alexnet_dist.registry import trackers
from alexnet_dist.telemetry.trackers import Tracker

INIT_SECONDS = 30
FINISH_SECONDS = 60

# wandb and Accelerate are imported in functions: they take most of a second, and only one rank needs them.


@trackers.register
class WandbTracker(Tracker):
    """Curves over the global step; a resumed run goes on as the same run of W&B."""

    name, label = "wandb", "W&B"

    @classmethod
    def is_on(cls, experiment: Experiment) -> bool:
        return experiment.tracking.wandb

    def start(self, experiment: Experiment, folder: Path) -> str:
        import wandb
        from accelerate.tracking import WandBTracker

        mode = wandb_mode()
        settings = wandb.Settings(silent=True, console="off", init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS)
        self._tracker = WandBTracker(
            experiment.tracking.project,
            name=folder.name,
            group=experiment.tracking.group,
            dir=str(folder),
            mode=mode,
            settings=settings,
            **_earlier_run(folder),
        )
        self._tracker.start()
        self._tracker.store_init_configuration(experiment.model_dump())
        return mode + (f"; upload with: wandb sync {folder}/wandb/*" if mode == "offline" else "")

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self._tracker.log(dict(values), step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Waits for the upload, for `FINISH_SECONDS` at most."""
        run = self._tracker.tracker
        run.summary.update(dict(summary))
        run.finish()


def _earlier_run(folder: Path) -> dict[str, str]:
    """Options that continue the run of W&B that the folder already has (offline: in a second folder of the same id)."""
    runs = sorted(folder.glob("wandb/*run-*-*"))
    return {"id": runs[-1].name.rsplit("-", 1)[1], "resume": "allow"} if runs else {}


def wandb_mode() -> str:
    """WANDB_MODE, else "online" where the user is logged in, else "offline"."""
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"]
    try:
        import wandb

        return "online" if wandb.login(prompt=False) else "offline"
    except Exception:
        return "offline"
