"""A metric from outside the package that fails in the third step on the rank that TOY_FAILS names; ranks print, too."""

import os

from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.step_metrics import LocalStep, StepMetric


def fail(step: LocalStep) -> float:
    if step.step == 2:
        print(f"rank {os.environ['RANK']} has something to say", flush=True)
    if os.environ["RANK"] == os.environ["TOY_FAILS"] and step.step == 3:
        raise ValueError("a cause")
    return 0.0


step_metrics.register(StepMetric("failure", fail))
