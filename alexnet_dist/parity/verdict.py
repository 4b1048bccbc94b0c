"""Whether two trainings are the same: the worst relative difference, against the tolerance of the precision.

The measure is ||a - b|| / ||b|| per tensor, b being the one process's. An elementwise comparison means nothing where a
value is near zero. Each precision defines its own tolerance (config/precisions.py).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from alexnet_dist import registry
from alexnet_dist.parity.trace import Differences


@dataclass(frozen=True)
class Worst:
    """The largest difference of a kind, and where it is."""

    difference: float
    where: str


@dataclass(frozen=True)
class Verdict:
    """One strategy on one number of ranks, against one process.

    Attributes:
        worst: by kind ("loss", "gradient", "weight").
        same: whether what the precision compares is within its tolerance.
        drifts: not the same, but with the gradient of the first step within the tolerance, as where training at a high
            learning rate amplifies rounding.
    """

    strategy: str
    ranks: int
    worst: Mapping[str, Worst]
    same: bool
    drifts: bool


def judge(strategy: str, ranks: int, found: Differences, precision: str, samples: int) -> Verdict:
    """Judge the differences by the tolerance of a precision, for a global batch of a given size."""
    worst = {kind: _worst(by_name) for kind, by_name in found.by_kind.items()}
    rule = registry.precisions[precision]
    tolerance = rule.tolerance_of(samples)
    within = {kind: worst[kind].difference <= tolerance for kind in rule.compared}
    same = all(within.values())
    return Verdict(strategy, ranks, worst, same, drifts=not same and within["gradient"])


def _worst(by_name: Mapping[str, float]) -> Worst:
    # Every comparison with NaN is false: make it the worst of all.
    where = max(by_name, key=lambda name: math.inf if math.isnan(by_name[name]) else by_name[name])
    return Worst(by_name[where], where)
