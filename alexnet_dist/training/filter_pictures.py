"""Pictures of the first layer's kernels while a run trains, between two epochs: in its folder and in the trackers."""

from pathlib import Path

from torch import Tensor

from alexnet_dist.errors import reason_of
from alexnet_dist.telemetry.run_files import FILTERS
from alexnet_dist.training.run_context import RunContext
from alexnet_dist.training.wiring import Components

KERNELS = "conv1.weight"


def is_pictured(components: Components, done: int) -> bool:
    """Whether a picture is due when an epoch, or the run, has ended after `done` steps."""
    every = components.experiment.tracking.filters_every
    if every is None or components.table.channels not in (1, 3):
        return False
    return done == components.total_steps or done % (every * components.order.steps_per_epoch) == 0


def picture_filters(components: Components, run: RunContext, done: int) -> None:
    """Write and log a picture; one that cannot be written is a warning. Collective."""
    kernels = components.engine.weights(KERNELS)[KERNELS]
    if run.record is None:
        return
    try:
        _log(kernels.float().cpu(), components.table.towers, run, done)
    except OSError as error:
        run.progress.say(f"warning: no picture of the filters after step {done}: {reason_of(error)}")


def _log(kernels: Tensor, towers: int, run: RunContext, done: int) -> None:
    from alexnet_dist.nets.filters import colour_by_tower, picture  # needs Pillow

    path = Path(run.folder, FILTERS, f"step-{done:09d}.png")
    path.parent.mkdir(exist_ok=True)
    picture(kernels, towers).save(path)
    if kernels.shape[1] == 3:
        figures = enumerate(colour_by_tower(kernels, towers), 1)
        run.tracking.log({f"filters/colour_{tower}": mean for tower, (mean, _) in figures}, done)
    run.tracking.show_pictures({"filters": path}, done)
