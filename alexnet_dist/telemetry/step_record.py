"""One optimizer step over all ranks, and the figures of a window of steps. Imports nothing heavy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from alexnet_dist.telemetry.throughput import images_per_second


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """A step's metrics (`telemetry.step_metrics`): those that the program itself uses are fields.

    Attributes:
        step: counted from 1.
        loss: mean over the samples of the global batch.
        samples: in the global batch.
        top1: fraction of the samples that were predicted right, before the update.
        seconds: wall time, data wait included; over some steps it adds up to that of the rank which took longest.
        ranks: how many there were.
        own_slowest, own_median, own_fastest: the part of the step in which a rank did not wait for others, of the rank
            where it was longest, of the median rank, and of the one where it was shortest.
        slowest_rank: where it was longest, over this step and its neighbours.
        sample_fingerprint: which samples they were (`data.order.fingerprint`).
        data_wait: seconds that the loop waited for a batch, on the slowest rank.
        optimizer_seconds: from complete gradients to new weights, clipping included, on the slowest rank.
        sent_bytes: by the rank that sent most.
        lr: learning rate of weights.
        norm: of the gradient before clipping; None where it was not computed.
        skipped: the step overflowed (fp16) and changed nothing.
        extra: the other registered metrics, by name.
    """

    step: int
    loss: float
    samples: int
    seconds: float
    ranks: int
    own_slowest: float
    own_median: float
    own_fastest: float
    slowest_rank: int
    top1: float
    sample_fingerprint: int
    data_wait: float
    optimizer_seconds: float
    sent_bytes: int
    lr: float
    norm: float | None
    skipped: bool
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From values by name: names that are not fields go to `extra`."""
        own = {name: value for name, value in values.items() if name in _FIELDS}
        return cls(**own, extra={name: value for name, value in values.items() if name not in _FIELDS})

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Self:
        """From a line of metrics.jsonl, in which null stands for a loss of NaN or infinity.

        Raises:
            TypeError: a field is missing, or not a number.
        """
        loss = line.get("loss")
        step = cls.of({**line, "loss": float("nan") if loss is None else loss})
        figures = (getattr(step, name) for name in _FIELDS if name != "norm")
        if not all(isinstance(figure, int | float) for figure in (*figures, step.norm or 0.0)):
            raise TypeError("a figure of a step is not a number")
        return step

    def line(self) -> dict[str, Any]:
        """By name, flat, as written to metrics.jsonl."""
        return {name: getattr(self, name) for name in _FIELDS} | dict(self.extra)


OWN_SECONDS = ("own_slowest", "own_median", "own_fastest")
_FIELDS = tuple(f.name for f in fields(StepRecord) if f.name != "extra")


def window_figures(window: Sequence[StepRecord]) -> dict[str, float]:
    """Figures of a window of steps.

    Returns:
        loss, top1: means over the samples; lr: of the last step; images_per_second: see `throughput`; step_seconds:
        mean; data_wait_fraction: the share of the window that was spent waiting for data; own_slowest, own_median and
        own_fastest: means; slowest_rank: at the end of the window; and the mean of every registered metric that is no
        field of StepRecord, where it is a number.
    """
    samples, seconds = ([getattr(record, name) for record in window] for name in ("samples", "seconds"))
    return {
        "loss": sum(record.loss * record.samples for record in window) / sum(samples),
        "top1": sum(record.top1 * record.samples for record in window) / sum(samples),
        "lr": window[-1].lr,
        "images_per_second": images_per_second(samples, seconds),
        "step_seconds": sum(seconds) / len(window),
        "data_wait_fraction": sum(record.data_wait for record in window) / sum(seconds),
        **{name: sum(getattr(record, name) for record in window) / len(window) for name in OWN_SECONDS},
        "slowest_rank": window[-1].slowest_rank,
        **_means([record.extra for record in window]),
    }


def _means(extras: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean by name, over the steps that have a number of that name."""
    numbers: dict[str, list[float]] = {}
    for extra in extras:
        for name, value in extra.items():
            if isinstance(value, int | float):
                numbers.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in numbers.items()}
