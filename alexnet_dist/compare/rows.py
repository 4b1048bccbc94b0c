"""What each case measured: a row of the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from alexnet_dist.compare.breakdown import break_down, wire_dtypes
from alexnet_dist.compare.case_parity import CaseParity, read_parity
from alexnet_dist.compare.cases import Case, Run, experiment_of
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.machine import read_peak
from alexnet_dist.compare.records import FinishedRun, read_failures, read_rounds
from alexnet_dist.compare.statistics import (
    Estimate,
    Timings,
    median_estimate,
    throughput_estimate,
    throughput_ratio,
)
from alexnet_dist.config.resolve import table_of
from alexnet_dist.costs.operations import training_operations

MOST_EFFICIENCY = 1.1


@dataclass(frozen=True)
class Figures:
    """What a case measured.

    Attributes:
        timings: of every measured step.
        step: the median step in seconds, the slowest rank's.
        images_per_second: samples over wall time of all measured steps, slow ones included.
        parts: seconds of the median step, by what they are spent on.
        wire: dtypes of what is sent; "-" where nothing is.
        sent_bytes, expected_bytes: per rank and step, counted and from the layer table.
        constant_bytes: the part of them that does not grow with the batch.
        peak_memory_bytes: of the rank with the most.
        parameters: number of values that it holds.
        held_bytes, expected_held_bytes: weights, gradients and optimizer state on it, counted and from the layer table.
        mfu: the net's operations over the device's peak; None where no peak is known.
        losses: of every step of the first round.
        devices: a GPU per rank; a host's CPU is one, however many ranks share it.
        against_best: images per second over the fastest row's of the same batch.
        against_one: images per second over one process's at the same batch.
        efficiency: `against_one` per device.
    """

    timings: Timings
    step: Estimate
    images_per_second: Estimate
    parts: Mapping[str, float]
    wire: str
    sent_bytes: int
    expected_bytes: int
    constant_bytes: int
    peak_memory_bytes: int
    parameters: int
    held_bytes: Mapping[str, int]
    expected_held_bytes: Mapping[str, int]
    mfu: float | None
    losses: Sequence[float | None]
    devices: int
    against_best: Estimate | None = None
    against_one: Estimate | None = None
    efficiency: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether the efficiency is higher than devices can give: another program disturbed the measurement."""
        return self.efficiency is not None and self.efficiency > MOST_EFFICIENCY


@dataclass(frozen=True)
class Row:
    """A case with its parity, and either figures or the reason why there are none."""

    case: Case
    parity: CaseParity | None
    figures: Figures | None
    reason: str | None

    @property
    def verdict(self) -> Literal["same", "differs", "unknown"]:
        """Whether the case is the same training as one process."""
        if self.parity is None or self.parity.failure is not None:
            return "unknown"
        return "same" if self.parity.same else "differs"

    @property
    def valid(self) -> bool:
        """Whether its speed may be compared: it ran, and it is the same training."""
        return self.figures is not None and self.verdict == "same"


def rows_of(comparison: Comparison, cases: Sequence[Case]) -> list[Row]:
    """A row per case, in order."""
    rows = [_row(comparison, case) for case in cases]
    return [_with_ratios(row, [other for other in rows if other.case.batch == row.case.batch]) for row in rows]


def _row(comparison: Comparison, case: Case) -> Row:
    failures = read_failures(comparison)
    runs = [Run(case, number) for number in range(1, comparison.compare.rounds + 1)]
    reason = case.error or next((failures[run.name] for run in runs if run.name in failures), None)
    finished = read_rounds(comparison, case)
    if reason is None and not finished:
        reason = "not run yet, or no step had a full batch"
    figures = _figures(comparison, case, finished) if reason is None else None
    return Row(case, read_parity(comparison, case), figures, reason)


def _figures(comparison: Comparison, case: Case, runs: Sequence[FinishedRun]) -> Figures:
    timings = Timings(case.global_batch, [[step["seconds"] for step in run.steps] for run in runs])
    summary, images = runs[0].summary, throughput_estimate(timings)
    hosts, traffic = len(set(summary["hosts"])), summary["comm_bytes_per_step"]
    return Figures(
        timings=timings,
        step=median_estimate(timings.step_seconds),
        images_per_second=images,
        parts=break_down(runs, read_rounds(comparison, case, control=True)),
        wire=wire_dtypes(summary["comm_dtypes"]),
        sent_bytes=sum(traffic["counted"].values()),
        expected_bytes=sum(traffic["expected"].values()),
        constant_bytes=summary["comm_bytes_constant"],
        peak_memory_bytes=max(max(run.summary["peak_memory_bytes"]) for run in runs),
        parameters=summary["parameters_per_rank"],
        held_bytes=summary["model_memory_bytes"]["held"],
        expected_held_bytes=summary["model_memory_bytes"]["expected"],
        mfu=summary["mfu"] or _mfu_of_measured_peak(comparison, case, images.value, hosts),
        losses=runs[0].losses,
        devices=hosts if summary["device_type"] == "cpu" else case.ranks,
    )


def _mfu_of_measured_peak(comparison: Comparison, case: Case, images_per_second: float, hosts: int) -> float | None:
    peak = read_peak(comparison)
    if peak is None:
        return None
    operations = training_operations(table_of(experiment_of(comparison, case).net))
    return images_per_second * operations / (peak * hosts)


def _with_ratios(row: Row, batch: Sequence[Row]) -> Row:
    """The row with its ratios to the other rows of its batch."""
    if row.figures is None:
        return row
    best = fastest(batch)
    one = next((other for other in batch if other.valid and other.case.ranks == 1), None)
    figures = row.figures
    if best is not None:
        figures = replace(figures, against_best=speed_ratio(row, best))
    if one is not None and one.figures is not None:
        ratio = speed_ratio(row, one)
        figures = replace(figures, against_one=ratio, efficiency=ratio.value * one.figures.devices / figures.devices)
    return replace(row, figures=figures)


def speed(row: Row) -> float:
    """Images per second; 0 where the case did not run."""
    return row.figures.images_per_second.value if row.figures else 0.0


def fastest(rows: Sequence[Row]) -> Row | None:
    """The valid row with the most images per second."""
    return max((row for row in rows if row.valid), key=speed, default=None)


def speed_ratio(row: Row, other: Row) -> Estimate:
    """Images per second of one over the other's; both have figures."""
    assert row.figures is not None and other.figures is not None
    return throughput_ratio(row.figures.timings, other.figures.timings)
