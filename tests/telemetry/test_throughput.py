"""Images per second have one definition: windows, the summary and the function itself agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.telemetry.step_record import StepRecord, window_figures
from alexnet_dist.telemetry.summary import WARM_UP_STEPS, RunMetrics
from alexnet_dist.telemetry.throughput import images_per_second, slowest_rank_seconds

SECONDS = st.floats(0.001, 100.0)


def test_the_slowest_rank_is_the_one_with_the_largest_total() -> None:
    """Two ranks that are slow in turn: neither is as slow as the slowest of each step together."""
    rank_seconds = [(1.0, 3.0), (3.0, 1.0), (1.0, 1.5)]
    assert slowest_rank_seconds(rank_seconds) == 5.5
    assert images_per_second([10, 10, 2], rank_seconds) == pytest.approx(22 / 5.5)


def test_a_step_with_fewer_ranks_than_the_others_is_a_defect() -> None:
    with pytest.raises(ValueError):
        images_per_second([1, 1], [(1.0, 1.0), (1.0,)])


@given(st.lists(st.tuples(st.integers(1, 512), SECONDS, SECONDS), min_size=1, max_size=40))
def test_a_window_and_a_run_have_the_same_throughput(steps: list[tuple[int, float, float]]) -> None:
    window = [
        StepRecord(step=number, loss=1.0, samples=samples, seconds=max(a, b), rank_seconds=(a, b))
        for number, (samples, a, b) in enumerate(steps, start=1)
    ]
    expected = images_per_second([samples for samples, _, _ in steps], [(a, b) for _, a, b in steps])
    assert window_figures(window)["images_per_second"] == pytest.approx(expected)
    metrics = RunMetrics(2, len(steps))
    metrics.add(window)
    warm_up = min(WARM_UP_STEPS, len(steps) // 4)
    measured = steps[warm_up:]
    assert metrics.figures()["images_per_second"] == pytest.approx(
        images_per_second([samples for samples, _, _ in measured], [(a, b) for _, a, b in measured])
    )
