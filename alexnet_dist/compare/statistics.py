"""Estimates with bootstrap intervals: rounds are drawn with replacement, then steps within each round.

Steps of one run share what happened during it; drawing only steps would make the intervals too narrow.
"""

import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from alexnet_dist.telemetry.throughput import images_per_second

RESAMPLES = 2000
CONFIDENCE = 0.95

# Seconds of a case's steps, by round, by step.
StepSeconds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Timings:
    """The measured steps of a case.

    Attributes:
        samples: of each step's global batch.
        step_seconds: wall time by round, by step (`StepRecord.seconds`).

    Raises:
        ValueError: there are no samples, or a round has no steps or a time that is not above 0.
    """

    samples: int
    step_seconds: StepSeconds

    def __post_init__(self) -> None:
        if not isinstance(self.samples, SupportsIndex) or self.samples < 1:
            raise ValueError(f"samples is {self.samples!r}: it must be a whole number above 0")
        _check_times(self.step_seconds)

    def first_rounds(self, count: int) -> "Timings":
        return Timings(self.samples, self.step_seconds[:count])


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def widened(self, margin: float) -> "Estimate":
        """The interval made to reach at least `margin`, in logarithms, to each side."""
        low, high = self.value * math.exp(-margin), self.value * math.exp(margin)
        return Estimate(self.value, min(self.low, low), max(self.high, high))

    def is_tie(self, noise: float) -> bool:
        """Whether a ratio shows no difference: its interval includes 1, or it is nearer to 1 than `noise`."""
        return self.low <= 1.0 <= self.high or abs(self.value - 1.0) < noise


def pooled_median(rounds: StepSeconds) -> float:
    """The median of all steps of all rounds."""
    return float(np.median(np.concatenate([np.asarray(steps) for steps in rounds])))


def median_estimate(rounds: StepSeconds) -> Estimate:
    """The median step over all rounds.

    Raises:
        ValueError: a round has no steps, or a time that is not above 0.
    """
    _check_times(rounds)
    picks = _draw_rounds(len(rounds))
    lengths = np.array([len(steps) for steps in rounds])
    padded = np.array([[*steps, *[0.0] * (lengths.max() - len(steps))] for steps in rounds])
    # As many steps from every round as the longest has; the padding is never drawn.
    draws = np.random.default_rng(1).random((*picks.shape, lengths.max()))
    chosen = (draws * lengths[picks][..., None]).astype(np.int64)
    return _interval(pooled_median(rounds), np.median(padded[picks[..., None], chosen].reshape(len(picks), -1), axis=1))


def throughput_estimate(timings: Timings) -> Estimate:
    """Images per second over all measured steps, all rounds taken as one window."""
    return _interval(_throughput(timings), _resampled_throughput(timings, _draw_rounds(len(timings.step_seconds)), 1))


def throughput_ratio(numerator: Timings, denominator: Timings) -> Estimate:
    """The ratio of two cases' images per second: the quotient of the two that are reported.

    Both resamples use the same rounds, because rounds pair the cases: what the machine did in one affected both. A
    ratio of median steps would hide slow steps that only one of the two causes; here they count, and an accidental
    hiccup shows as a wide interval.
    """
    count = min(len(numerator.step_seconds), len(denominator.step_seconds))
    over, under, picks = numerator.first_rounds(count), denominator.first_rounds(count), _draw_rounds(count)
    ratios = _resampled_throughput(over, picks, seed=1) / _resampled_throughput(under, picks, seed=2)
    return _interval(_throughput(over) / _throughput(under), ratios)


def margin_of_ratio(cases: Sequence[StepSeconds], rounds: int) -> float:
    """Half the width of the interval of a ratio of two cases that is due to drift between rounds.

    Two or three rounds of one pair say little about how the machine drifts, and a bootstrap over them underestimates
    it. But all cases ran on that machine: the residuals of their rounds, after subtracting each case's and each round's
    own level, are pooled, and Student's t allows for how few there are. Levels are median steps: a hiccup in one case
    must not widen the intervals of all others.

    Args:
        cases: seconds of the steps of every case.
        rounds: of the two cases; cases with another number of rounds are left out.

    Returns:
        In logarithms; 0 where there is one round.
    """
    logs = np.array([[math.log(np.median(steps)) for steps in case] for case in cases if len(case) == rounds])
    degrees = (len(logs) - 1) * (rounds - 1)
    if degrees < 1:
        return 0.0
    residuals = logs - logs.mean(1, keepdims=True) - logs.mean(0) + logs.mean()
    # numpy has no quantile function of Student's t; a hundred thousand draws give it to a hundredth.
    student = np.quantile(np.abs(np.random.default_rng(0).standard_t(degrees, 100_000)), CONFIDENCE)
    return float(student * math.sqrt(np.square(residuals).sum() / degrees * 2 / rounds))


def _check_times(rounds: StepSeconds) -> None:
    try:
        times = [np.asarray(steps, np.float64) for steps in rounds]
        are_times = all(steps.ndim == 1 and steps.size and (steps > 0).all() for steps in times)
        is_right = bool(times) and are_times and bool(np.isfinite(np.concatenate(times)).all())
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        example = "a list of rounds, each a list of its steps' seconds, such as [[0.2, 0.21], [0.2, 0.22]]"
        raise ValueError(f"step_seconds is {reprlib.repr(rounds)}: it must be {example}")


def _throughput(timings: Timings) -> float:
    window = [seconds for steps in timings.step_seconds for seconds in steps]
    return images_per_second([timings.samples] * len(window), window)


def _resampled_throughput(timings: Timings, picks: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """(RESAMPLES,) images per second of the rounds in each row of `picks`, their steps drawn with replacement."""
    draws = np.random.default_rng(seed)
    steps, seconds = np.zeros(len(picks)), np.zeros(len(picks))
    for number, measured in enumerate(timings.step_seconds):
        drawn = (picks == number).sum(axis=1) * len(measured)
        counts = draws.multinomial(drawn, [1 / len(measured)] * len(measured))  # how often each step is drawn
        seconds += counts @ np.asarray(measured)
        steps += drawn
    return timings.samples * steps / seconds


def _draw_rounds(rounds: int) -> NDArray[np.int64]:
    """(RESAMPLES, rounds): the rounds of each resample."""
    return np.random.default_rng(0).integers(rounds, size=(RESAMPLES, rounds))


def _interval(value: float, resampled: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))
