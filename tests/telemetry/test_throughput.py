"""Images per second have one definition: windows, the summary and the function itself agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from step_records import step_record

from alexnet_dist.telemetry.step_record import window_figures
from alexnet_dist.telemetry.summary import WARM_UP_STEPS, RunMetrics
from alexnet_dist.telemetry.throughput import images_per_second


@given(st.lists(st.tuples(st.integers(1, 512), st.floats(0.001, 100.0)), min_size=1, max_size=40))
def test_a_window_and_a_run_have_the_same_throughput(steps: list[tuple[int, float]]) -> None:
    window = [
        step_record(step=number, samples=samples, seconds=seconds, ranks=2)
        for number, (samples, seconds) in enumerate(steps, start=1)
    ]
    assert window_figures(window)["images_per_second"] == pytest.approx(images_per_second(*zip(*steps, strict=True)))
    metrics = RunMetrics(2, len(steps))
    metrics.add(window)
    measured = steps[min(WARM_UP_STEPS, len(steps) // 4) :]
    expected = images_per_second(*zip(*measured, strict=True))
    assert metrics.figures()["images_per_second"] == pytest.approx(expected)
