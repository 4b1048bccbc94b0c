"""Two metrics of a step from outside the package: one measured on the device, one on the host."""

from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.step_metrics import StepMetric, by_rank, largest

step_metrics.register(StepMetric("rank_loss", lambda step: step.loss_sum / step.samples, by_rank))
step_metrics.register(StepMetric("data_wait_share", lambda step: step.data_wait / step.seconds, largest))
