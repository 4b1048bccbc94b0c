"""The figures of ranks are combined as each metric says, in messages that do not grow with the ranks."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import pytest

from alexnet_dist.registry import step_metrics
from alexnet_dist.telemetry.figures import SAMPLE, FigureReducer, StepFigures
from alexnet_dist.telemetry.step_metrics import LocalStep, RankRole
from alexnet_dist.telemetry.step_record import StepRecord

STEP = LocalStep(
    step=1, loss_sum=24.0, correct=4.0, samples=8, fingerprint=0, seconds=1.0, own_seconds=0.5, optimizer_seconds=0.1,
    data_wait=0.2, sent_bytes=7, lr=0.1, norm=0.5, skipped=None,
)  # fmt: skip


def makers(size: int, reporting_ranks: Sequence[int]) -> list[FigureReducer]:
    metrics = list(step_metrics)
    return [FigureReducer(metrics, rank, size, RankRole(rank == 0, rank in reporting_ranks)) for rank in range(size)]


def together(made: Sequence[FigureReducer], steps_of: Callable[[int], Sequence[LocalStep]]) -> StepFigures:
    own = [maker.own(steps_of(rank)) for rank, maker in enumerate(made)]
    return reduce(made[0].combine, own)


def records(*ranks: Sequence[LocalStep], reporting_ranks: Sequence[int]) -> list[StepRecord]:
    made = makers(len(ranks), reporting_ranks)
    return made[0].records(together(made, lambda rank: ranks[rank]))


def test_two_pairs_whose_first_ranks_report() -> None:
    exact = 2**53 - 1  # a sum of fingerprints may be as large, and must come out to the last digit
    first, other = (
        replace(STEP, fingerprint=exact - 5),
        replace(STEP, fingerprint=5, loss_sum=6.0, correct=2.0, samples=4),
    )
    (step,) = records(
        [first], [replace(first, own_seconds=0.9)], [other], [replace(other, seconds=4.0, lr=3.0, norm=3.0)],
        reporting_ranks=(0, 2),
    )  # fmt: skip
    assert (step.loss, step.top1, step.samples, step.sample_fingerprint) == (30 / 12, 6 / 12, 12, exact)
    assert (step.seconds, step.data_wait, step.sent_bytes) == (4.0, 0.2, 7)
    assert (step.lr, step.norm, step.skipped, step.ranks) == (0.1, 0.5, False, 4)
    assert (step.own_fastest, step.own_median, step.own_slowest, step.slowest_rank) == (0.5, 0.5, 0.9, 1)


def test_seconds_add_up_to_those_of_the_slowest_rank() -> None:
    """Two ranks that are slow in turn: the slowest of each step, added up, is slower than either."""
    ranks = [
        [replace(STEP, step=i, seconds=seconds) for i, seconds in enumerate(rank)] for rank in ((1, 3, 1), (3, 1, 1.5))
    ]
    found = records(*ranks, reporting_ranks=(0, 1))
    assert [step.step for step in found] == [0, 1, 2] and sum(step.seconds for step in found) == 5.5


def test_what_was_not_measured_is_none_and_what_is_no_number_stays() -> None:
    steps = [replace(STEP, norm=None, loss_sum=float("nan")), STEP]
    absent, present = records(steps, steps, reporting_ranks=(0, 1))
    assert (absent.norm, present.norm, present.loss) == (None, 0.5, 3.0) and absent.loss != absent.loss
    assert records([], [], reporting_ranks=(0, 1)) == []  # a round of an evaluation


@pytest.mark.parametrize("size", [SAMPLE, 10 * SAMPLE])
def test_a_message_does_not_grow_and_every_rank_comes_into_the_sample(size: int) -> None:
    made = makers(size, range(size))
    largest, seen = 0, set[int]()
    for _ in range(-(-size // SAMPLE)):
        figures = together(made, lambda rank: [replace(STEP, own_seconds=float(rank))] * 5)
        largest = max(largest, len(pickle.dumps(figures)))
        seen |= set(figures.sampled)
        (step, *_) = made[0].records(figures)
        assert (step.own_fastest, step.own_slowest, step.slowest_rank) == (0.0, size - 1, size - 1)
        assert step.own_median == pytest.approx(size / 2, abs=size / SAMPLE)
    assert seen == set(range(size)) and largest < 10_000
