"""Numbers as tables and sentences show them."""

from alexnet_dist.compare.statistics import Estimate


def short(value: float) -> str:
    """At least three digits: 12,345, 244.0, 2.80, 0.164."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:.3g}"


def seconds(value: float) -> str:
    """A time: 1.23 s, 45 ms, 0.6 ms."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.0f} ms" if value >= 0.01 else f"{value * 1e3:.1f} ms"


def interval(ratio: Estimate) -> str:
    return f"{ratio.low:.2f} to {ratio.high:.2f}"
