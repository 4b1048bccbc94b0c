"""Steps are measured by rank and gathered by window; figures of windows and runs follow from them."""

from dataclasses import replace

import pytest
import torch

from alexnet_dist.distributed.mesh import World
from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.meters import Meter
from alexnet_dist.telemetry.peaks import model_flops_utilisation
from alexnet_dist.telemetry.step_metrics import Gathered, StepMetric
from alexnet_dist.telemetry.step_record import StepRecord, window_figures
from alexnet_dist.telemetry.summary import WARM_UP_STEPS, RunMetrics

ALONE = World(0, 1, torch.device("cpu"), None)


def record(step: int, seconds: float, samples: int = 10, loss: float = 1.0) -> StepRecord:
    return StepRecord(step=step, loss=loss, samples=samples, seconds=seconds, rank_seconds=(seconds,), data_wait=0.1)


def test_warm_up_is_left_out() -> None:
    metrics = RunMetrics(1)
    metrics.add([record(i, 100.0 if i <= WARM_UP_STEPS else 2.0) for i in range(1, 41)])
    figures = metrics.figures()
    assert figures["warm_up_steps"] == WARM_UP_STEPS and figures["steps"] == 40
    assert figures["images_per_second"] == pytest.approx(5.0)
    assert figures["step_seconds"] == {"median": 2.0, "p5": 2.0, "p95": 2.0}
    assert figures["data_wait_fraction"] == pytest.approx(0.05)
    assert figures["samples_seen"] == 400


def test_a_windows_loss_is_the_mean_over_samples_and_other_metrics_the_mean_over_steps() -> None:
    window = [record(1, 1.0, samples=30), record(2, 1.0, samples=10, loss=5.0), record(3, 1.0, samples=0)]
    window[0] = replace(window[0], extra={"toy": 2.0, "by_rank": (1.0, 2.0), "absent": None})
    window[1] = replace(window[1], extra={"toy": 4.0, "by_rank": (1.0, 2.0), "absent": None})
    figures = window_figures(window)
    assert figures["loss"] == pytest.approx(2.0) and figures["toy"] == pytest.approx(3.0)
    assert not {"by_rank", "absent"} & figures.keys()


def test_a_meter_measures_steps_and_waits() -> None:
    meter = Meter(ALONE, [0])
    meter.start()
    for step in (1, 2):
        assert meter.wait(iter([step])) == step
        meter.applies()
        meter.step(step, torch.tensor(6.0), 3, 11, 7, torch.tensor(0.5), torch.tensor(1.0))
    first, second = meter.flush()
    assert (first.loss, first.samples, first.sample_fingerprint, first.sent_bytes) == (2.0, 3, 11, 7)
    assert (first.norm, first.skipped) == (0.5, True) and first.extra == {}
    assert second.step == 2 and second.seconds > 0 and second.seconds >= second.data_wait >= 0
    assert 0 < second.optimizer_seconds < second.seconds
    assert meter.flush() == []


def test_what_was_not_measured_is_none() -> None:
    """The norm is not taken in every step; overflows cannot happen in fp32."""
    meter = Meter(ALONE, [0])
    meter.start()
    for step, norm in ((1, None), (2, torch.tensor(0.25))):
        meter.applies()
        meter.step(step, torch.tensor(6.0), 3, 11, 7, norm, None)
    assert [(step.norm, step.skipped) for step in meter.flush()] == [(None, False), (0.25, False)]


def test_ranks_are_combined_as_each_metric_says() -> None:
    """Four ranks on two towers: pairs work on the same samples, and the first of each pair speaks."""
    exact = 2**53 - 1  # a sum of fingerprints may be as large, and must come out to the last digit
    samples = torch.tensor([[8.0], [8.0], [4.0], [4.0]], dtype=torch.float64)

    def combined(name: str, *values: float) -> object:
        metric: StepMetric = step_metrics[name]
        column = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
        (value,) = metric.combine(Gathered(column, samples, (0, 2))).tolist()
        return [metric.kind(v) for v in value] if isinstance(value, list) else metric.kind(value)

    assert combined("loss", 24.0, 24.0, 6.0, 6.0) == 30 / 12
    assert combined("samples", 8, 8, 4, 4) == 12
    assert combined("sample_fingerprint", exact - 5, 0, 5, 0) == exact
    assert combined("seconds", 1.0, 4.0, 2.0, 3.0) == 4.0
    assert combined("rank_seconds", 1.0, 4.0, 2.0, 3.0) == [1.0, 4.0, 2.0, 3.0]
    assert combined("norm", 0.5, 0.5, 0.5, 0.5) == 0.5 and combined("skipped", 1, 1, 1, 1) is True


def test_traffic_is_that_of_the_fullest_latest_step() -> None:
    metrics = RunMetrics(1)
    for counted, expected in ((9, 4), (4, 4), (2, 2)):  # a first step that also agrees on buckets, a short last one
        metrics.sent({"all_reduce": counted}, {"all_reduce": expected}, {"float32": counted})
    metrics.add([record(1, 1.0)])
    figures = metrics.figures()
    assert figures["comm_bytes_per_step"] == {"counted": {"all_reduce": 4}, "expected": {"all_reduce": 4}}
    assert figures["comm_dtypes"] == {"float32": 4}


def test_utilisation_is_reported_only_where_every_peak_is_known() -> None:
    h100 = "NVIDIA H100 80GB HBM3"
    assert model_flops_utilisation(989.4e12, [h100, h100], "bf16") == pytest.approx(0.5)
    assert model_flops_utilisation(1e12, [h100, "NVIDIA H100 NVL"], "bf16") is None
    assert model_flops_utilisation(1e12, ["AMD EPYC"], "fp32") is None
