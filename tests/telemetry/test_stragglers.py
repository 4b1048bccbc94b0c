"""A rank that keeps the others waiting is reported, once; chance delays are not."""

from step_records import step_record

from alexnet_dist.telemetry.step_record import StepRecord
from alexnet_dist.telemetry.stragglers import LEAST_STEPS, Stragglers

HOSTS = ["n1", "n1", "n5", "n5"]


def steps(count: int, slowest: int, factor: float, seconds: float = 1.0) -> list[StepRecord]:
    return [
        step_record(seconds=seconds, own_slowest=0.1 * factor, own_median=0.1, slowest_rank=slowest)
        for _ in range(count)
    ]


def test_a_slow_rank_is_told_once() -> None:
    stragglers = Stragglers(HOSTS)
    assert stragglers.add(steps(LEAST_STEPS - 1, 3, 1.4)) == []
    (found,) = stragglers.add(steps(1, 3, 1.4))
    assert str(found) == (
        "rank 3 on n5 computes 1.4 times as long as the median rank (140 ms a step, 100 ms; data wait included)"
    )
    assert stragglers.add(steps(LEAST_STEPS, 3, 1.4)) == []
    assert [straggler.rank for straggler in stragglers.add(steps(LEAST_STEPS, 2, 2.0))] == [2]


def test_chance_is_not() -> None:
    in_turn = [step for rank in range(4) for step in steps(LEAST_STEPS, rank, 3.0)]
    a_little, at_once = steps(100, 3, 1.1), steps(100, 3, 3.0, seconds=0.001)
    now_and_then = [*steps(40, 3, 1.0), *steps(30, 3, 3.0)]
    for harmless in (in_turn, a_little, at_once, now_and_then):
        assert Stragglers(HOSTS).add(harmless) == []
