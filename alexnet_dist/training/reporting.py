"""Reports steps as their figures arrive: to metrics.jsonl, the console and the trackers."""

from collections.abc import Sequence

from alexnet_dist.costs.units import loss_text
from alexnet_dist.data.order import Order
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord
from alexnet_dist.telemetry.step_record import StepRecord, window_figures
from alexnet_dist.telemetry.stragglers import Stragglers
from alexnet_dist.telemetry.summary import RunMetrics
from alexnet_dist.telemetry.trackers import Tracking


class Reporter:
    """Reports the steps of a run; the first rank owns it.

    Args:
        log_every: steps of a window: a line on the console, a point in the trackers.
        order: says which epoch a step is in.
        hosts: by rank.
    """

    def __init__(
        self,
        log_every: int,
        order: Order,
        hosts: Sequence[str],
        record: RunRecord,
        metrics: RunMetrics,
        tracking: Tracking,
        progress: RunProgress,
    ) -> None:
        self._log_every, self._order = log_every, order
        self._record, self._metrics, self._tracking, self._progress = record, metrics, tracking, progress
        self._stragglers = Stragglers(hosts)
        self._window: list[StepRecord] = []

    def add(self, steps: Sequence[StepRecord]) -> None:
        """Report steps, in order; those of a window that is not yet full are kept back from console and trackers."""
        if not steps:
            return
        self._metrics.add(steps)
        self._record.metrics([{**step.line(), "epoch": self._order.epoch(step.step - 1)} for step in steps])
        for straggler in self._stragglers.add(steps):
            self._metrics.stragglers.append(straggler)
            self._progress.say(f"warning: {straggler}")
        for step in steps:
            self._window.append(step)
            if step.step % self._log_every == 0:
                self.end_window()

    def end_window(self) -> None:
        """Report the window so far."""
        window, self._window = self._window, []
        if not window:
            return
        figures, last = window_figures(window), window[-1]
        self._progress.update(
            last.step,
            f"loss {loss_text(figures['loss'])}  "
            "{images_per_second:.1f} images/s  {step_seconds:.3f} s a step  "
            "data wait {data_wait_fraction:.1%}  ".format(**figures)
            + f"sent {last.sent_bytes / 1e6:.3g} MB",
        )
        epoch = self._order.epoch(last.step - 1)
        self._tracking.log({**figures, "comm_bytes_per_step": last.sent_bytes, "epoch": epoch}, last.step)
