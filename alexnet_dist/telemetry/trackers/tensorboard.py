"""TensorBoard, through Accelerate's tracker."""

import json
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alexnet_dist.config.load import as_yaml
from alexnet_dist.errors import UsageError
from alexnet_dist.registry import trackers
from alexnet_dist.telemetry.trackers import Tracked, Tracker

# Accelerate, numpy and pillow are imported in functions: trackers are listed before they are needed.


@trackers.register
class TensorBoardTracker(Tracker):
    """Scalars over the global step; a resumed run replaces those of the steps that it repeats."""

    name, label, unused = "tensorboard", "TensorBoard", ("project", "group")

    @classmethod
    def check(cls) -> None:
        if find_spec("tensorboard") is None:
            raise UsageError("tracking.with", cls.name, "is not installed: pip install 'alexnet-dist[tensorboard]'")

    def start(self, tracked: Tracked) -> str:
        from accelerate.tracking import TensorBoardTracker as AcceleratesTracker

        _keep_thread_quiet()
        root, self._last_step = tracked.folder / self.name, tracked.step
        self._tracker = AcceleratesTracker(tracked.case or "", root, purge_step=tracked.step + 1)
        self._tracker.start()
        self._tracker.log({"experiment": _code(as_yaml(tracked.experiment))}, 0)
        return f"tensorboard --logdir {root}"

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self._tracker.log(dict(values), step)
        self._last_step = step

    def show_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = [columns, ["---"] * len(columns), *rows]
        self._tracker.log({title: "\n".join(f"| {' | '.join(cells)} |" for cells in lines)}, 0)

    def show_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        self._tracker.log_images({name: _pixels(path) for name, path in pictures.items()}, step, dataformats="NHWC")

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._tracker.log({"summary": _code(json.dumps(summary, indent=2, default=str))}, self._last_step)
        self._tracker.finish()


def _keep_thread_quiet() -> None:
    """Keep TensorBoard's thread from printing a traceback on a full disk: the next call raises the error again."""
    before = threading.excepthook

    def print_others(raised: threading.ExceptHookArgs) -> None:
        if type(raised.thread).__name__ != "_AsyncWriterThread":
            before(raised)

    threading.excepthook = print_others


def _code(text: str) -> str:
    """As Markdown that keeps lines and indentation."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def _pixels(path: Path) -> Any:
    """uint8 (1, height, width, 3)."""
    import numpy
    from PIL import Image

    return numpy.asarray(Image.open(path).convert("RGB"))[None]
