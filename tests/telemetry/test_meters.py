"""Steps are measured by rank; figures of windows and runs follow from them."""

from dataclasses import replace

import pytest
import torch
from no_waiting import NoReading, copies_of_a_gpu
from step_records import step_record
from torch._subclasses.fake_tensor import DataDependentOutputException

from alexnet_dist.distributed.mesh import World
from alexnet_dist.telemetry.meters import Meter, NotedStep, _copied
from alexnet_dist.telemetry.step_record import StepRecord, window_figures
from alexnet_dist.telemetry.summary import WARM_UP_STEPS, RunMetrics

ALONE = World(0, 1, torch.device("cpu"), None)


def record(step: int, seconds: float, samples: int = 10, loss: float = 1.0, top1: float = 0.5) -> StepRecord:
    return step_record(step=step, loss=loss, top1=top1, samples=samples, seconds=seconds)


def note(meter: Meter, step: int, norm: torch.Tensor | None, skipped: torch.Tensor | None) -> None:
    """A step on three samples, one of them predicted correctly."""
    meter.gradients_done()
    noted = NotedStep(
        step=step, loss_sum=torch.tensor(6.0), correct=torch.tensor(1), samples=3, fingerprint=11, sent_bytes=7,
        lr=0.1, norm=norm, skipped=skipped,
    )  # fmt: skip
    meter.step(noted)


def test_warm_up_is_left_out() -> None:
    metrics = RunMetrics(1, 40)
    metrics.add([record(i, 100.0 if i <= WARM_UP_STEPS else 2.0) for i in range(1, 41)])
    figures = metrics.figures()
    assert figures["warm_up_steps"] == WARM_UP_STEPS and figures["steps"] == 40
    assert figures["images_per_second"] == pytest.approx(5.0)
    assert figures["step_seconds"] == {"median": 2.0, "p5": 2.0, "p95": 2.0}
    assert figures["data_wait_fraction"] == pytest.approx(0.05)
    assert figures["samples_seen"] == 400


def test_training_accuracy_is_that_of_the_latest_epoch() -> None:
    """Epochs of three steps, windows of two, a last epoch of a single step."""
    metrics = RunMetrics(1, 3)
    steps = [record(i, 1.0, samples=i, loss=i, top1=top1) for i, top1 in enumerate((0.9, 0.9, 0.9, 0.1, 0.2, 0.3), 1)]
    for start in (0, 2, 4):
        metrics.add(steps[start : start + 2])
    assert metrics.epoch.number == 1 and metrics.epoch.loss == pytest.approx((16 + 25 + 36) / 15)
    assert metrics.figures()["train_top1"] == pytest.approx((0.1 * 4 + 0.2 * 5 + 0.3 * 6) / 15)
    metrics.add([record(7, 1.0, top1=0.75)])
    assert metrics.figures()["train_top1"] == 0.75
    assert window_figures(steps[:4])["top1"] == pytest.approx((0.9 * 6 + 0.1 * 4) / 10)


def test_a_windows_loss_is_the_mean_over_samples_and_other_metrics_the_mean_over_steps() -> None:
    window = [record(1, 1.0, samples=30), record(2, 1.0, samples=10, loss=5.0), record(3, 1.0, samples=0)]
    window[0] = replace(window[0], extra={"toy": 2.0, "several": (1.0, 2.0), "absent": None})
    window[1] = replace(window[1], extra={"toy": 4.0, "several": (1.0, 2.0), "absent": None})
    figures = window_figures(window)
    assert figures["loss"] == pytest.approx(2.0) and figures["toy"] == pytest.approx(3.0)
    assert not {"several", "absent"} & figures.keys()


def test_a_meter_measures_steps_and_waits() -> None:
    meter = Meter(ALONE, [0])
    meter.start()
    for step in (1, 2):
        assert meter.wait(iter([step])) == step
        with NoReading():
            note(meter, step, torch.tensor(0.5), torch.tensor(1.0))
    with NoReading():
        read = meter.read()
    first, second = meter.reducer.records(read())
    assert first.top1 == pytest.approx(1 / 3) and first.lr == 0.1
    assert (first.loss, first.samples, first.sample_fingerprint, first.sent_bytes) == (2.0, 3, 11, 7)
    assert (first.norm, first.skipped) == (0.5, True) and first.extra == {}
    assert second.step == 2 and second.seconds > 0 and second.seconds >= second.data_wait >= 0
    assert 0 < second.optimizer_seconds < second.seconds
    assert second.own_slowest == second.own_median == second.own_fastest == pytest.approx(second.seconds)
    assert (second.slowest_rank, second.ranks) == (0, 1)
    assert meter.flush() == []


def test_a_gpus_figures_are_copied_without_waiting() -> None:
    with copies_of_a_gpu() as seen:
        _copied([torch.ones((), device="cuda"), None, torch.ones((), device="cuda", dtype=torch.int64)])
    assert seen.count == 1


def test_a_gpus_figures_are_read_when_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads them waits for an event behind the copies, not for that of the last step."""
    waited: list[int] = []

    class Event:
        def __init__(self, enable_timing: bool, blocking: bool) -> None: ...

        def record(self, stream: object) -> None:
            self.behind = seen.count

        def synchronize(self) -> None:
            waited.append(self.behind)

        def elapsed_time(self, later: "Event") -> float:
            return 1.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    with copies_of_a_gpu() as seen:
        meter = Meter(World(0, 1, torch.device("cuda", 0), None), [0])
        meter.start()
        meter.gradients_done()
        one = torch.ones((), device="cuda")
        meter.step(NotedStep(1, one, one, samples=1, fingerprint=0, sent_bytes=0, lr=0.1, norm=one, skipped=None))
        figures = meter.read()
    with pytest.raises(DataDependentOutputException):  # fake tensors have no values
        figures()
    assert waited == [seen.count] == [3]


@pytest.mark.gpu
def test_a_gpus_figures_are_those_of_the_step() -> None:
    meter = Meter(World(0, 1, torch.device("cuda", 0), None), [0])
    meter.start()
    with torch.device("cuda"):
        note(meter, 1, torch.tensor(0.5), None)
    torch.cuda._sleep(1 << 28)  # about a tenth of a second: the device gets to the copies after the host has gone on
    (step,) = meter.flush()
    assert (step.loss, step.norm) == (2.0, 0.5)


def test_what_was_not_measured_is_none() -> None:
    """The norm is not taken in every step; overflows cannot happen in fp32."""
    meter = Meter(ALONE, [0])
    meter.start()
    for step, norm in ((1, None), (2, torch.tensor(0.25))):
        note(meter, step, norm, None)
    assert [(step.norm, step.skipped) for step in meter.flush()] == [(None, False), (0.25, False)]


def test_traffic_is_that_of_the_fullest_latest_step() -> None:
    metrics = RunMetrics(1, 40)
    for counted, expected in ((9, 4), (4, 4), (2, 2)):  # a first step that also agrees on buckets, a short last one
        metrics.sent({"all_reduce": counted}, {"all_reduce": expected}, {"float32": counted})
    metrics.add([record(1, 1.0)])
    figures = metrics.figures()
    assert figures["comm_bytes_per_step"] == {"counted": {"all_reduce": 4}, "expected": {"all_reduce": 4}}
    assert figures["comm_dtypes"] == {"float32": 4}
