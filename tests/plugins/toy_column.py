"""A column of compare from outside the package."""

from alexnet_dist.compare.columns import TIME, Column, from_figures
from alexnet_dist.compare.rows import Figures
from alexnet_dist.registry import compare_columns


def _slowest(figures: Figures) -> str:
    return f"{max(seconds for steps in figures.timings.step_seconds for seconds in steps):.6f}"


compare_columns.register(Column("slowest", "slowest step", (TIME,), from_figures(_slowest)))
