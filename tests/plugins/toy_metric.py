"""Two metrics of a step from outside the package: the median over ranks, and the largest."""

from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.step_metrics import LARGEST, MEDIAN, StepMetric

step_metrics.register(StepMetric("typical_loss", lambda step: step.loss_sum / step.samples, MEDIAN))
step_metrics.register(StepMetric("data_wait_share", lambda step: step.data_wait / step.seconds, LARGEST))
