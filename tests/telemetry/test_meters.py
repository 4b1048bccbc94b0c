"""What windows and runs come to, from steps of ranks that are not equally fast."""

import pytest
import torch

from alexnet_dist.distributed.mesh import Layout, World
from alexnet_dist.telemetry.meters import Meter, StepRecord
from alexnet_dist.telemetry.peaks import model_flops_utilisation
from alexnet_dist.telemetry.run_files import finite
from alexnet_dist.telemetry.summary import WARM_UP_STEPS, RunMetrics
from alexnet_dist.training.loop import window_figures

ALONE = Layout(World(0, 1, torch.device("cpu"), None), 1, None)


def record(step: int, rank_seconds: tuple[float, ...], samples: int = 10, loss: float = 1.0) -> StepRecord:
    return StepRecord(step, loss, samples, 0, max(rank_seconds), rank_seconds, 0.1, 0.2, 100, None, False)


def test_throughput_is_the_slowest_ranks_whole_time() -> None:
    """Two ranks that are slow in turn: neither is as slow as the slowest of each step together."""
    window = [record(1, (1.0, 3.0)), record(2, (3.0, 1.0)), record(3, (1.0, 1.0))]
    assert window_figures(window)["images_per_second"] == pytest.approx(30 / 5)
    totals = RunMetrics(ALONE)
    totals.add(window)
    assert totals.figures()["images_per_second"] == pytest.approx(30 / 5)


def test_warm_up_is_left_out() -> None:
    totals = RunMetrics(ALONE)
    totals.add([record(i, (100.0 if i <= WARM_UP_STEPS else 2.0,)) for i in range(1, 41)])
    figures = totals.figures()
    assert figures["warm_up_steps"] == WARM_UP_STEPS and figures["steps"] == 40
    assert figures["images_per_second"] == pytest.approx(5.0)
    assert figures["step_seconds"] == {"median": 2.0, "p5": 2.0, "p95": 2.0}
    assert figures["samples_seen"] == 400


def test_a_windows_loss_is_the_mean_over_samples() -> None:
    window = [record(1, (1.0,), samples=30, loss=1.0), record(2, (1.0,), samples=10, loss=5.0)]
    assert window_figures(window)["loss"] == pytest.approx(2.0)


def test_a_meter_measures_steps_and_waits() -> None:
    meter = Meter(ALONE)
    meter.start()
    for step in (1, 2):
        assert meter.wait(iter([step])) == step
        meter.applies()
        meter.step(step, torch.tensor(6.0), 3, 11, 7, torch.tensor(0.5), torch.tensor(1.0))
    first, second = meter.flush()
    assert (first.loss, first.samples, first.sample_fingerprint, first.sent_bytes) == (2.0, 3, 11, 7)
    assert (first.norm, first.skipped) == (0.5, True)
    assert second.step == 2 and second.seconds > 0 and second.seconds >= second.data_wait >= 0
    assert 0 < second.optimizer_seconds < second.seconds
    assert meter.flush() == []


def test_traffic_is_that_of_the_fullest_latest_step() -> None:
    totals = RunMetrics(ALONE)
    for counted, expected in ((9, 4), (4, 4), (2, 2)):  # a first step that also agrees on buckets, a short last one
        totals.sent({"all_reduce": counted}, {"all_reduce": expected}, {"float32": counted})
    totals.add([record(1, (1.0,))])
    figures = totals.figures()
    assert figures["comm_bytes_per_step"] == {"counted": {"all_reduce": 4}, "expected": {"all_reduce": 4}}
    assert figures["comm_dtypes"] == {"float32": 4}


def test_utilisation_is_told_only_where_every_peak_is_known() -> None:
    h100 = "NVIDIA H100 80GB HBM3"
    assert model_flops_utilisation(989.4e12, [h100, h100], "bf16") == pytest.approx(0.5)
    assert model_flops_utilisation(1e12, [h100, "NVIDIA H100 NVL"], "bf16") is None
    assert model_flops_utilisation(1e12, ["AMD EPYC"], "fp32") is None


def test_json_has_no_nan() -> None:
    assert finite({"a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": -1}}) == {
        "a": None, "b": [None, 1.0], "c": {"d": -1},
    }  # fmt: skip
