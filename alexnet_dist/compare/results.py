"""What the records come to: a row a case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from alexnet_dist.compare.cases import Case, Run, experiment_of
from alexnet_dist.compare.config import Comparison
from alexnet_dist.compare.machine import read_peak
from alexnet_dist.compare.records import Record, read_failures, read_record
from alexnet_dist.compare.statistics import Estimate, Rounds, median_estimate, pooled_median, ratio_estimate
from alexnet_dist.compare.verdicts import Parity, read_verdict
from alexnet_dist.config.resolve import table_of

COMPUTE, COMMUNICATION, DATA, OPTIMIZER = "compute", "communication", "data wait", "optimizer"
TOGETHER = "compute and communication"  # where no control run tells them apart
_SHORT = {"float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class Figures:
    """What a case measured.

    Attributes:
        seconds: of every measured step, round by round, the slowest rank's.
        step: the median step in seconds.
        images_per_second: the global batch over the median step.
        wall_images_per_second: the samples over the wall time of all measured steps, hiccups included.
        parts: seconds of the median step by what they were spent on.
        wire: dtypes of what travelled; "-" where nothing did.
        sent, expected: bytes per rank and step, counted and from the layer table.
        constant: those of them that do not grow with the batch.
        memory: peak bytes of the fullest rank.
        parameters: values that it holds.
        held, expected_held: bytes of weights, gradients and optimiser state on it, counted and from the layer table.
        mfu: the net's operations over the peak's; None where no peak is known.
        losses: of every step of the first round.
        against_best: throughput over the best row's of the same batch.
        against_one: throughput over one process's at the same batch.
        efficiency: the same per device; a host's CPU is one device, whatever the number of ranks on it.
    """

    seconds: Rounds
    step: Estimate
    images_per_second: Estimate
    wall_images_per_second: float
    parts: Mapping[str, float]
    wire: str
    sent: int
    expected: int
    constant: int
    memory: int
    parameters: int
    held: Mapping[str, int]
    expected_held: Mapping[str, int]
    mfu: float | None
    losses: Sequence[float | None]
    devices: int
    against_best: Estimate | None = None
    against_one: Estimate | None = None
    efficiency: float | None = None


@dataclass(frozen=True)
class Row:
    """A case with its verdict, and either figures or the reason why there are none."""

    case: Case
    parity: Parity | None
    figures: Figures | None
    reason: str | None

    @property
    def counts(self) -> bool:
        """Whether it may be called fast: it ran, and it is the same training."""
        return self.figures is not None and self.parity is not None and self.parity.same


def rows_of(comparison: Comparison, cases: Sequence[Case]) -> list[Row]:
    """Every case's row, in the cases' order."""
    rows = [_row(comparison, case) for case in cases]
    return [_against_others(row, [other for other in rows if other.case.batch == row.case.batch]) for row in rows]


def records_of(comparison: Comparison, case: Case, control: bool = False) -> list[Record]:
    """The case's finished runs in the order of rounds, without those behind a gap."""
    records = []
    for number in range(1, comparison.compare.rounds + 1):
        record = read_record(comparison, Run(case, number, control))
        if record is None or not record.steps:
            break
        records.append(record)
    return records


def _row(comparison: Comparison, case: Case) -> Row:
    verdict, failures = read_verdict(comparison, case), read_failures(comparison)
    runs = [Run(case, number) for number in range(1, comparison.compare.rounds + 1)]
    reason = case.refusal or next((failures[run.name] for run in runs if run.name in failures), None)
    records = records_of(comparison, case)
    if reason is None and not records:
        reason = "not run yet, or no step had a full batch"
    figures = _figures(comparison, case, records) if reason is None else None
    return Row(case, verdict, figures, reason)


def _figures(comparison: Comparison, case: Case, records: Sequence[Record]) -> Figures:
    seconds = [[float(step["seconds"]) for step in record.steps] for record in records]
    summary, step = records[0].summary, median_estimate(seconds)
    images = step.inverse(case.global_batch)
    hosts = len(set(summary["hosts"]))
    traffic = summary["comm_bytes_per_step"]
    return Figures(
        seconds=seconds,
        step=step,
        images_per_second=images,
        wall_images_per_second=median(_wall_rate(record) for record in records),
        parts=_parts(records, records_of(comparison, case, control=True)),
        wire=_wire(summary["comm_dtypes"]),
        sent=sum(traffic["counted"].values()),
        expected=sum(traffic["expected"].values()),
        constant=summary["comm_bytes_constant"],
        memory=max(max(record.summary["peak_memory_bytes"]) for record in records),
        parameters=summary["parameters_per_rank"],
        held=summary["model_memory_bytes"]["held"],
        expected_held=summary["model_memory_bytes"]["expected"],
        mfu=summary["mfu"] or _measured_mfu(comparison, case, images.value, hosts),
        losses=records[0].losses,
        devices=hosts if summary["device_type"] == "cpu" else case.ranks,
    )


def _wall_rate(record: Record) -> float:
    slowest = max(sum(rank) for rank in zip(*(step["rank_seconds"] for step in record.steps), strict=True))
    return float(sum(step["samples"] for step in record.steps) / slowest)


def _parts(records: Sequence[Record], controls: Sequence[Record]) -> dict[str, float]:
    """Where the median step's seconds go. Communication is what a step takes longer than the control run's of the same
    round, in which nothing is sent; waiting for another rank and packing for the wire belong to it."""
    step = pooled_median([[s["seconds"] for s in record.steps] for record in records])
    data = pooled_median([[s["data_wait"] for s in record.steps] for record in records])
    optimizer = pooled_median([[s["optimizer_seconds"] for s in record.steps] for record in records])
    rest = max(0.0, step - data - optimizer)
    if records[0].summary["world_size"] == 1:
        return {COMPUTE: rest, COMMUNICATION: 0.0, DATA: data, OPTIMIZER: optimizer}
    pairs = min(len(records), len(controls))
    if not pairs:
        return {TOGETHER: rest, DATA: data, OPTIMIZER: optimizer}
    share = min(1.0, _rest(controls[:pairs]) / _rest(records[:pairs]))
    return {COMPUTE: rest * share, COMMUNICATION: rest * (1 - share), DATA: data, OPTIMIZER: optimizer}


def _rest(records: Sequence[Record]) -> float:
    return pooled_median(
        [[s["seconds"] - s["data_wait"] - s["optimizer_seconds"] for s in record.steps] for record in records]
    )


def _wire(dtypes: Mapping[str, int]) -> str:
    """Dtypes that carry more than a hundredth of the bytes, the larger share first."""
    total = sum(dtypes.values())
    large = [name for name, size in sorted(dtypes.items(), key=lambda item: -item[1]) if size * 100 > total]
    return "+".join(_SHORT.get(name, name) for name in large) or "-"


def _measured_mfu(comparison: Comparison, case: Case, images_per_second: float, hosts: int) -> float | None:
    peak = read_peak(comparison)
    if peak is None:
        return None
    flops = table_of(experiment_of(comparison, case).net).training_flops
    return images_per_second * flops / (peak * hosts)


def _against_others(row: Row, batch: Sequence[Row]) -> Row:
    """The row with its ratios to the other rows of its batch."""
    if row.figures is None:
        return row
    best = fastest(batch)
    one = next((other for other in batch if other.counts and other.case.ranks == 1), None)
    figures = row.figures
    if best is not None:
        figures = replace(figures, against_best=throughput_ratio(row, best))
    if one is not None and one.figures is not None:
        ratio = throughput_ratio(row, one)
        figures = replace(figures, against_one=ratio, efficiency=ratio.value * one.figures.devices / figures.devices)
    return replace(row, figures=figures)


def fastest(rows: Sequence[Row]) -> Row | None:
    """The row with most images per second, of those that count."""
    counting = [row for row in rows if row.counts]
    return max(counting, key=lambda row: row.figures.images_per_second.value if row.figures else 0.0, default=None)


def throughput_ratio(row: Row, other: Row) -> Estimate:
    """Images per second of one over the other's; both have figures."""
    assert row.figures is not None and other.figures is not None
    ratio = ratio_estimate(other.figures.seconds, row.figures.seconds)
    scale = row.case.global_batch / other.case.global_batch
    return Estimate(ratio.value * scale, ratio.low * scale, ratio.high * scale)
