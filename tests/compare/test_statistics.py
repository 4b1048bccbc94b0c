"""Which differences the intervals must show, and which they must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.compare.statistics import (
    Timings,
    margin_of_ratio,
    median_estimate,
    throughput_estimate,
    throughput_ratio,
)
from alexnet_dist.telemetry.throughput import images_per_second

NOISE = 0.02
Rounds = list[list[float]]


def rounds(seed: int, level: float, drift: tuple[float, ...] = (1.0, 1.0, 1.0), jitter: float = 0.02) -> Rounds:
    """Ten steps per round, which take about `level` seconds."""
    draws = np.random.default_rng(seed)
    return [list(level * machine * np.exp(jitter * draws.standard_normal(10))) for machine in drift]


def timings(seconds: Rounds) -> Timings:
    return Timings(32, seconds)


def speedup(slow: Rounds, fast: Rounds) -> "tuple[float, float, float, bool]":
    ratio = throughput_ratio(timings(fast), timings(slow))
    return ratio.value, ratio.low, ratio.high, ratio.is_tie(NOISE)


def test_a_median_lies_in_its_interval_and_a_hiccup_does_not_move_it() -> None:
    calm = median_estimate(rounds(1, 2.0))
    assert calm.low < 2.0 < calm.high and calm.high / calm.low < 1.05
    troubled = rounds(1, 2.0)
    troubled[0][3] = 60.0
    assert median_estimate(troubled).value == pytest.approx(calm.value, rel=0.01)


def test_throughput_is_samples_over_the_time_of_all_steps() -> None:
    estimate = throughput_estimate(Timings(8, [[1.0, 2.0], [3.0, 1.0]]))
    assert estimate.value == images_per_second([8] * 4, [1.0, 2.0, 3.0, 1.0]) == 32 / 7
    assert estimate.low <= estimate.value <= estimate.high
    calm = throughput_estimate(timings(rounds(1, 2.0)))
    assert calm.low < 16.0 < calm.high and calm.high / calm.low < 1.05


def test_a_hiccup_counts_and_shows_as_a_wide_interval() -> None:
    troubled = rounds(1, 1.0)
    troubled[0][3] = 20.0
    estimate = throughput_estimate(timings(troubled))
    assert estimate.value == pytest.approx(32 * 30 / sum(map(sum, troubled))) and estimate.value < 21
    assert estimate.high > 31 and estimate.high / estimate.low > 1.5
    assert speedup(troubled, rounds(2, 1.0))[3]  # one hiccup is no evidence that a case is slower


def test_two_of_the_same_tie_and_ten_percent_do_not() -> None:
    for seed in range(5):
        assert speedup(rounds(seed, 1.0), rounds(seed + 50, 1.0))[3]
        _, low, high, tie = speedup(rounds(seed, 1.1), rounds(seed + 50, 1.0))
        assert not tie and low < 1.1 < high


def test_a_machine_that_drifts_affects_both_alike() -> None:
    """A third slower from round to round: the ratio of cases side by side stays precise, each by itself does not."""
    drift = (1.0, 1.3, 1.6)
    slow, fast = rounds(1, 1.1, drift), rounds(2, 1.0, drift)
    for alone in (median_estimate(slow), throughput_estimate(timings(slow))):
        assert alone.high / alone.low > 1.3
    _, low, high, tie = speedup(slow, fast)
    assert high / low < 1.15 and not tie


def test_rounds_that_disagree_make_a_tie_however_many_steps_they_have() -> None:
    """Steps of one run are not independent: a thousand of them in three runs are still three runs."""
    assert speedup([[1.2] * 1000, [0.8] * 1000, [1.0] * 1000], [[1.0] * 1000] * 3)[3]


def test_two_rounds_know_little_and_all_cases_show_how_the_machine_drifts() -> None:
    """A difference in both rounds of a pair may be chance; where other cases differ as much between rounds, it is."""
    slow, fast = [[1.3] * 10, [1.28] * 10], [[1.0] * 10, [1.02] * 10]
    others = [[[1.0] * 10, [drifted] * 10] for drifted in (1.25, 0.8, 1.1)]
    ratio = throughput_ratio(timings(fast), timings(slow))
    assert not ratio.is_tie(NOISE)
    assert ratio.widened(margin_of_ratio([slow, fast, *others], 2)).is_tie(NOISE)
    calm = [[[1.0] * 10, [drifted] * 10] for drifted in (1.01, 0.99, 1.0)]
    assert not ratio.widened(margin_of_ratio([slow, fast, *calm], 2)).is_tie(NOISE)
    # A round that is slower for all cases is no drift between them; nor is there any in one round.
    assert margin_of_ratio([[[1.0], [2.0]], [[3.0], [6.0]]], 2) == pytest.approx(0.0, abs=1e-9)
    assert margin_of_ratio([slow[:1], fast[:1]], 1) == 0.0


def test_a_hiccup_in_one_case_does_not_widen_the_others() -> None:
    calm = [[[1.0] * 10, [drifted] * 10] for drifted in (1.01, 0.99, 1.0)]
    hiccup = [[1.0] * 10, [1.0] * 9 + [60.0]]
    assert margin_of_ratio([*calm, hiccup], 2) < 0.05


def test_a_sharp_but_tiny_difference_is_a_tie() -> None:
    ratio = throughput_ratio(timings([[1.0] * 10] * 3), timings([[1.01] * 10] * 3))
    assert ratio.low > 1.0 and ratio.is_tie(NOISE) and not ratio.is_tie(0.005)


@given(st.lists(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=5), min_size=1, max_size=4), st.floats(0.1, 10))
def test_the_unit_of_time_does_not_matter(seconds: Rounds, scale: float) -> None:
    scaled = [[step * scale for step in steps] for steps in seconds]
    for one, other, factor in (
        (median_estimate(seconds), median_estimate(scaled), scale),
        (throughput_estimate(timings(seconds)), throughput_estimate(timings(scaled)), 1 / scale),
    ):
        assert (other.value, other.low, other.high) == pytest.approx(
            (one.value * factor, one.low * factor, one.high * factor)
        )
