"""What a run has besides its components: where measurements go, what keeps it from being lost."""

from dataclasses import dataclass
from pathlib import Path

from alexnet_dist.launcher.exit_status import ExitStatus
from alexnet_dist.telemetry.profile import StepProfile
from alexnet_dist.telemetry.progress import RunProgress
from alexnet_dist.telemetry.record import RunRecord
from alexnet_dist.telemetry.summary import RunMetrics
from alexnet_dist.telemetry.trackers import Tracking
from alexnet_dist.training.checkpoints.writer import CheckpointWriter
from alexnet_dist.training.stopping import StopSignal


@dataclass(frozen=True)
class RunContext:
    """Attributes:
    folder: the run's own.
    record: writes the run's files; None on every rank but the first.
    """

    folder: Path
    metrics: RunMetrics
    record: RunRecord | None
    tracking: Tracking
    progress: RunProgress
    profile: StepProfile
    checkpoints: CheckpointWriter
    stop_signal: StopSignal
    status: ExitStatus
