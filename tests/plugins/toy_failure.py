"""A metric from outside the package that fails on the first rank in the third step."""

import os

from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.step_metrics import LocalStep, StepMetric


def fail(step: LocalStep) -> float:
    if os.environ["RANK"] == "0" and step.step == 3:
        raise ValueError("a cause")
    return 0.0


step_metrics.register(StepMetric("failure", fail))
