"""W&B through Accelerate's tracker, from rank 0 only, and never in the way of a run."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from alexnet_dist.config.schema import Experiment

INIT_SECONDS = 30
FINISH_SECONDS = 60


class Tracking:
    """Curves on one axis, the global step. A failure of W&B is said once and ends the tracking, not the run.

    Args:
        accelerator: made with `log_with="wandb"`.
        experiment: resolved; its settings become the run's config.
        folder: the run's own; W&B writes its files below it.
        say: prints one line on one rank.
    """

    def __init__(
        self, accelerator: Accelerator, experiment: Experiment, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._accelerator = accelerator
        self._say = say
        self._alive = experiment.tracking.wandb and accelerator.is_main_process
        if self._alive:
            mode = wandb_mode()
            self._guarded(lambda: self._start(experiment, folder, mode))
            if self._alive:
                say(f"W&B: {mode}" + (f"; upload with: wandb sync {folder}/wandb/*" if mode == "offline" else ""))

    def _start(self, experiment: Experiment, folder: Path, mode: str) -> None:
        import wandb  # here and below: it takes most of a second, and only one rank needs it

        options = {
            "name": folder.name,
            "group": experiment.tracking.group,
            "dir": str(folder),
            **_earlier(folder),
            "mode": mode,
            "settings": wandb.Settings(
                silent=True, console="off", init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS
            ),
        }
        self._accelerator.init_trackers(
            experiment.tracking.project, experiment.model_dump(), init_kwargs={"wandb": options}
        )

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self._guarded(lambda: self._accelerator.log(dict(values), step=step))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Store the run's summary and close; waits for an upload at most a minute."""

        def close() -> None:
            tracker = self._accelerator.get_tracker("wandb", unwrap=True)
            tracker.summary.update(dict(summary))
            tracker.finish()

        self._guarded(close)

    def _guarded(self, action: Callable[[], None]) -> None:
        if not self._alive:
            return
        try:
            action()
        except Exception as error:
            # Whatever goes wrong inside a service that only watches must not end the run it watches.
            self._alive = False
            self._say(f"warning: W&B stopped ({' '.join(str(error).split())[:200]}); metrics.jsonl has everything")


def _earlier(folder: Path) -> dict[str, str]:
    """What makes a run that is taken up go on as the same run of W&B (offline: in a second folder of the same id)."""
    runs = sorted(folder.glob("wandb/*run-*-*"))
    return {"id": runs[-1].name.rsplit("-", 1)[1], "resume": "allow"} if runs else {}


def wandb_mode() -> str:
    """What the user's environment says, else online where somebody is logged in."""
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"]
    try:
        import wandb

        return "online" if wandb.login(prompt=False) else "offline"
    except Exception:
        return "offline"
