"""What all ranks report to the first one, and what it decides for all: figures go up, the decision comes down.

A round takes about half a second of steps. Its messages travel along a tree, in a thread beside the training. Every
rank acts on the decision when the next round is over: at the same step, long after it came, so that no step waits.
A signal thus takes effect within two rounds: within a second, or two steps where they are longer.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from alexnet_dist.distributed.background import Background
from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.tree import Tree
from alexnet_dist.telemetry.figures import StepFigures
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.telemetry.step_record import StepRecord

ROUND_SECONDS, MOST_STEPS = 0.5, 100
_TAG = 1  # of these messages; the main thread's own have 0


@dataclass(frozen=True)
class Decision:
    """What the first rank decides for all.

    Attributes:
        stops: why all ranks stop, because one was asked to; empty: they go on.
        saves: a checkpoint is due by the clock.
        diverged: the first step whose loss is NaN or infinite, and that loss.
        steps: of the next round.
    """

    stops: str = ""
    saves: bool = False
    diverged: tuple[int, float] | None = None
    steps: int = 1


@dataclass(frozen=True)
class RoundResult:
    """What a rank knows when a round is over.

    Attributes:
        records: of its steps; only on the first rank.
    """

    decision: Decision = Decision()
    records: tuple[StepRecord, ...] = ()


@dataclass(frozen=True)
class _Message:
    """What one rank reports, or several ranks together."""

    figures: StepFigures
    stops: str


class Rounds:
    """The rounds of a run. Its methods are collective.

    Args:
        world: the ranks.
        meter: measures the steps.
        stops: asked for why this rank should stop; empty: it goes on.
        save_seconds: the time between two checkpoints; None: none is due by the clock.
    """

    def __init__(self, world: World, meter: Meter, stops: Callable[[], str], save_seconds: float | None) -> None:
        self._meter, self._stops, self._save_seconds = meter, stops, save_seconds
        self._tree = Tree(world.control, _TAG)
        self._thread = Background[RoundResult]("rounds", world.device)
        self._under_way: Future[RoundResult] | None = None
        self._steps, self._round_steps = 0, 1
        self._began = self._saved = time.monotonic()

    def step(self) -> RoundResult:
        """A step is over, or a batch of an evaluation: what the last round decided, if this ends a round."""
        self._steps += 1
        if self._steps < self._round_steps:
            return RoundResult()
        result = self._end()
        self._begin()
        return result

    def flush(self) -> RoundResult:
        """End all rounds now. Waits for the device, and for the other ranks."""
        earlier = self._end()
        self._begin()
        last = self._end()
        self._round_steps, self._began = 1, time.monotonic()  # what follows may take longer than what was before
        decision = replace(
            last.decision,
            stops=earlier.decision.stops or last.decision.stops,
            diverged=earlier.decision.diverged or last.decision.diverged,
        )
        return RoundResult(decision, (*earlier.records, *last.records))

    def saved(self) -> None:
        """A checkpoint was written."""
        self._saved = time.monotonic()

    def _begin(self) -> None:
        """Begin a round: send this rank's figures of the steps since the last one."""
        now, figures, stops = time.monotonic(), self._meter.read(), self._stops()
        decided = Decision(
            saves=self._save_seconds is not None and now - self._saved >= self._save_seconds,
            steps=max(1, min(MOST_STEPS, int(ROUND_SECONDS / max((now - self._began) / max(1, self._steps), 1e-6)))),
        )
        self._steps, self._began = 0, now
        self._under_way = self._thread.submit(lambda: self._agree(figures, stops, decided))

    def _end(self) -> RoundResult:
        """The result of the round under way, if there is one."""
        if self._under_way is None:
            return RoundResult()
        result, self._under_way = self._under_way.result(), None
        self._round_steps = result.decision.steps
        return result

    def _agree(self, figures: Callable[[], StepFigures], stops: str, decided: Decision) -> RoundResult:
        """Send this rank's message and receive the decision. Runs in the thread.

        Args:
            figures: waits for the device.
            decided: what the first rank has decided by itself.
        """
        together = self._tree.reduce(_Message(figures(), stops), self._combine)
        records: list[StepRecord] = []
        if self._tree.rank == 0:
            records = self._meter.reducer.records(together.figures)
            diverged = next(((step.step, step.loss) for step in records if not math.isfinite(step.loss)), None)
            decided = replace(decided, stops=together.stops, diverged=diverged)
        return RoundResult(self._tree.broadcast(decided), tuple(records))

    def _combine(self, a: _Message, b: _Message) -> _Message:
        return _Message(self._meter.reducer.combine(a.figures, b.figures), a.stops or b.stops)
