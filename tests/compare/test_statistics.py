"""What intervals must tell apart, and what they must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.compare.statistics import margin_of_ratio, median_estimate, ratio_estimate

NOISE = 0.02


def rounds(
    seed: int, level: float, drift: tuple[float, ...] = (1.0, 1.0, 1.0), jitter: float = 0.02
) -> list[list[float]]:
    draws = np.random.default_rng(seed)
    return [list(level * machine * np.exp(jitter * draws.standard_normal(10))) for machine in drift]


def test_a_median_lies_in_its_interval_and_a_hiccup_does_not_move_it() -> None:
    calm = median_estimate(rounds(1, 2.0))
    assert calm.low < 2.0 < calm.high and calm.high / calm.low < 1.05
    troubled = rounds(1, 2.0)
    troubled[0][3] = 60.0
    assert median_estimate(troubled).value == pytest.approx(calm.value, rel=0.01)


def test_two_of_the_same_tie_and_ten_percent_do_not() -> None:
    for seed in range(5):
        assert ratio_estimate(rounds(seed, 1.0), rounds(seed + 50, 1.0)).is_tie(NOISE)
        slower = ratio_estimate(rounds(seed, 1.1), rounds(seed + 50, 1.0))
        assert not slower.is_tie(NOISE) and slower.low < 1.1 < slower.high


def test_a_machine_that_drifts_hurts_both_alike() -> None:
    """A third slower from round to round: the ratio of what ran side by side stays sharp, a median alone does not."""
    drift = (1.0, 1.3, 1.6)
    ours, theirs = rounds(1, 1.1, drift), rounds(2, 1.0, drift)
    alone, ratio = median_estimate(ours), ratio_estimate(ours, theirs)
    assert alone.high / alone.low > 1.3 > 1.15 > ratio.high / ratio.low
    assert not ratio.is_tie(NOISE)


def test_rounds_that_disagree_make_a_tie_however_many_steps_they_have() -> None:
    """Steps of one run share what befell it: ten thousand of them are still three runs."""
    ours = [[1.2] * 1000, [0.8] * 1000, [1.0] * 1000]
    assert ratio_estimate(ours, [[1.0] * 1000] * 3).is_tie(NOISE)


def test_two_rounds_know_little_and_all_cases_tell_how_the_machine_wanders() -> None:
    """What both rounds of a pair say may be chance; where other cases wander as far from round to round, it is."""
    slow, fast = [[1.3] * 10, [1.28] * 10], [[1.0] * 10, [1.02] * 10]
    others = [[[1.0] * 10, [wandered] * 10] for wandered in (1.25, 0.8, 1.1)]
    ratio = ratio_estimate(slow, fast)
    assert not ratio.is_tie(NOISE)
    assert ratio.widened(margin_of_ratio([slow, fast, *others], 2)).is_tie(NOISE)
    calm = [[[1.0] * 10, [wandered] * 10] for wandered in (1.01, 0.99, 1.0)]
    assert not ratio.widened(margin_of_ratio([slow, fast, *calm], 2)).is_tie(NOISE)
    # A round that is slower for all is no wandering; nor is there any in one round.
    assert margin_of_ratio([[[1.0], [2.0]], [[3.0], [6.0]]], 2) == pytest.approx(0.0, abs=1e-9)
    assert margin_of_ratio([slow[:1], fast[:1]], 1) == 0.0


def test_a_sharp_but_tiny_difference_is_a_tie() -> None:
    ratio = ratio_estimate([[1.01] * 10] * 3, [[1.0] * 10] * 3)
    assert ratio.low > 1.0 and ratio.is_tie(NOISE) and not ratio.is_tie(0.005)


@given(st.lists(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=5), min_size=1, max_size=4), st.floats(0.1, 10))
def test_the_unit_of_time_does_not_matter(seconds: list[list[float]], scale: float) -> None:
    estimate, scaled = median_estimate(seconds), median_estimate([[s * scale for s in run] for run in seconds])
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
        (estimate.value * scale, estimate.low * scale, estimate.high * scale)
    )
