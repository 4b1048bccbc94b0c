"""Medians with bootstrap intervals: rounds are drawn anew, then steps within each.

Steps of one run share what befell that run, so steps alone would make intervals too narrow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95

Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Estimate:
    """A value, and the interval that it lies in with 95 % confidence."""

    value: float
    low: float
    high: float

    def inverse(self, numerator: float) -> "Estimate":
        """Of `numerator` over it: seconds of a step become images per second."""
        return Estimate(numerator / self.value, numerator / self.high, numerator / self.low)

    def widened(self, margin: float) -> "Estimate":
        """At least as wide as `margin`, in logarithms, to each side."""
        return Estimate(
            self.value,
            min(self.low, self.value * math.exp(-margin)),
            max(self.high, self.value * math.exp(margin)),
        )

    def is_tie(self, noise: float) -> bool:
        """Whether a ratio is no difference: its interval includes 1, or it lies nearer to it than the noise."""
        return self.low <= 1.0 <= self.high or abs(self.value - 1.0) < noise


def pooled_median(rounds: Rounds) -> float:
    """Of all steps of all rounds."""
    return float(np.median(np.concatenate([np.asarray(steps) for steps in rounds])))


def median_estimate(rounds: Rounds) -> Estimate:
    """The median step over all rounds.

    Args:
        rounds: seconds of every step, round by round.
    """
    return _interval(pooled_median(rounds), _medians(rounds, _picks(len(rounds)), seed=1))


def ratio_estimate(numerator: Rounds, denominator: Rounds) -> Estimate:
    """The ratio of two cases' median steps.

    Both draw the same rounds, because rounds pair them: what the machine did in one befell both.
    """
    count = min(len(numerator), len(denominator))
    over, under, picks = numerator[:count], denominator[:count], _picks(count)
    ratios = _medians(over, picks, seed=1) / _medians(under, picks, seed=2)
    return _interval(pooled_median(over) / pooled_median(under), ratios)


def margin_of_ratio(cases: Sequence[Rounds], rounds: int) -> float:
    """How far a ratio of two cases may be off, by what rounds differ in; half an interval's width.

    Two or three rounds of one pair know next to nothing of how the machine wanders, and a bootstrap over them makes too
    little of it. But all cases ran on that machine: what is left of their rounds when each case's and each round's own
    level is taken away is pooled, and Student's t allows for how few they are.

    Args:
        cases: seconds of every step of every case, round by round.
        rounds: of the two cases; cases with another number tell nothing.

    Returns:
        In logarithms; 0 where there is one round.
    """
    logs = np.array([[math.log(np.median(steps)) for steps in case] for case in cases if len(case) == rounds])
    degrees = (len(logs) - 1) * (rounds - 1)
    if degrees < 1:
        return 0.0
    left = logs - logs.mean(1, keepdims=True) - logs.mean(0) + logs.mean()
    # Drawn, for want of a formula: a hundred thousand give it to a hundredth.
    student = np.quantile(np.abs(np.random.default_rng(0).standard_t(degrees, 100_000)), CONFIDENCE)
    return float(student * math.sqrt(np.square(left).sum() / degrees * 2 / rounds))


def _picks(rounds: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(rounds, size=(RESAMPLES, rounds))


def _medians(rounds: Rounds, picks: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """(RESAMPLES,) medians of steps drawn with replacement within the rounds that each row of `picks` names."""
    lengths = np.array([len(steps) for steps in rounds])
    padded = np.array([[*steps, *[0.0] * (lengths.max() - len(steps))] for steps in rounds])
    # Equally many from every round, the longest's number; padding is never drawn.
    draws = np.random.default_rng(seed).random((*picks.shape, lengths.max()))
    chosen = (draws * lengths[picks][..., None]).astype(np.int64)
    return np.median(padded[picks[..., None], chosen].reshape(len(picks), -1), axis=1)


def _interval(value: float, resampled: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))
