"""What a run uses besides its components: meters, records, trackers, checkpoints."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.launcher.exit_status import ExitStatus
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord
from alexnet_dist.telemetry.summary import RunMetrics
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.reporting import Reporter
from alexnet_dist.training.rounds import Rounds


@dataclass(frozen=True)
class RunContext:
    """What a run uses besides its components.

    Attributes:
        folder: the run's own.
        limit: of a step's duration, where nothing else can end a rank that waits for another.
        record, reporter: write the run's files, and report its steps; None on every rank but the first.
    """

    folder: Path
    meter: Meter
    rounds: Rounds
    limit: AbstractContextManager[None]
    metrics: RunMetrics
    record: RunRecord | None
    reporter: Reporter | None
    tracking: Tracking
    progress: RunProgress
    checkpoints: CheckpointWriter
    status: ExitStatus
