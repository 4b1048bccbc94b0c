"""Which case is faster, by how much and why: only cases with the same batch, ranks and wire dtype are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from alexnet_dist.compare.breakdown import COMMUNICATION, COMPUTE, COMPUTE_AND_COMMUNICATION, DATA, OPTIMIZER
from alexnet_dist.compare.formatting import interval, seconds
from alexnet_dist.compare.rows import Figures, Row, speed, speed_ratio
from alexnet_dist.compare.statistics import Estimate, StepSeconds, margin_of_ratio

SLOW_STEPS = "slow steps"  # seconds by which the mean step exceeds the median
_SPENT_ON = {
    COMPUTE: "computing",
    COMMUNICATION: "waiting for communication",
    DATA: "waiting for data",
    OPTIMIZER: "in the optimizer",
    COMPUTE_AND_COMMUNICATION: "computing and communicating",
    SLOW_STEPS: "in steps that take longer than usual",
}


@dataclass(frozen=True)
class PairwiseResult:
    """The fastest row of a group compared with another row of it.

    Attributes:
        batch: of both, as the comparison lists it.
        group: what the rows have in common besides the batch, in words.
        first, second: variants; `first` is the fastest.
        ratio: images per second of `first` over `second`.
        tie: the ratio is within the noise.
        cause: what `second` spends the difference on; empty for a tie.
    """

    batch: int
    group: str
    first: str
    second: str
    ratio: Estimate
    tie: bool
    cause: str


def pairwise_results(rows: Sequence[Row], noise: float) -> list[PairwiseResult]:
    """The fastest row of each group against every other row of it, the runner-up first; only valid rows take part.

    A group is the rows with the same batch, ranks and wire dtype. Where no group has two rows, the rows of each batch
    are compared, whatever their ranks and wire dtypes.

    Args:
        noise: a ratio nearer to 1 than this is a tie.
    """
    valid = [row for row in rows if row.valid]
    steps = [row.figures.timings.step_seconds for row in valid if row.figures is not None]

    def compare(group: Sequence[Row], words: str) -> list[PairwiseResult]:
        first, *others = sorted(group, key=speed, reverse=True)
        return [_compare_pair(first, other, words, steps, noise) for other in others]

    found = [result for group in _groups(valid, _key) for result in compare(group, _words(group[0]))]
    return found or [result for group in _groups(valid, lambda row: (row.case.batch,)) for result in compare(group, "")]


def _key(row: Row) -> tuple[int, int, str]:
    return row.case.batch, row.case.ranks, row.figures.wire if row.figures else ""


def _words(row: Row) -> str:
    _, ranks, wire = _key(row)
    return f"on {ranks} ranks with {wire} on the wire" if ranks > 1 else "in one process"


def _groups(rows: Sequence[Row], key: Callable[[Row], tuple[int | str, ...]]) -> list[list[Row]]:
    return [list(group) for _, group in groupby(sorted(rows, key=key), key=key)]


def _compare_pair(first: Row, second: Row, group: str, steps: Sequence[StepSeconds], noise: float) -> PairwiseResult:
    """How much faster the first case is than the second.

    Args:
        steps: of all valid cases: they show how far the machine drifts between rounds.
    """
    assert first.figures is not None and second.figures is not None
    rounds = min(len(row.timings.step_seconds) for row in (first.figures, second.figures))
    ratio = speed_ratio(first, second).widened(margin_of_ratio(steps, rounds))
    tie = ratio.is_tie(noise)
    cause = "" if tie else _cause(first.figures, second.figures, second.case.variant)
    return PairwiseResult(first.case.batch, group, first.case.variant, second.case.variant, ratio, tie, cause)


def _cause(first: Figures, second: Figures, name: str) -> str:
    """What the slower case, called `name`, spends most of the difference on."""
    fast, slow = _comparable(first, second)
    extra = {part: slow[part] - fast.get(part, 0.0) for part in slow}
    part = max(extra, key=lambda name: extra[name])
    return f"{name} spends {seconds(extra[part])} more per step {_SPENT_ON[part]}" if extra[part] > 0 else ""


def _comparable(first: Figures, second: Figures) -> list[Mapping[str, float]]:
    """The parts of both mean steps, with compute and communication together where either cannot tell them apart."""
    together = any(COMPUTE_AND_COMMUNICATION in figures.parts for figures in (first, second))
    found = list[Mapping[str, float]]()
    for figures in (first, second):
        parts = dict(figures.parts)
        if together:
            both = parts.pop(COMPUTE, 0.0) + parts.pop(COMMUNICATION, 0.0)
            parts.setdefault(COMPUTE_AND_COMMUNICATION, both)
        mean = figures.timings.samples / figures.images_per_second.value
        found.append({**parts, SLOW_STEPS: max(0.0, mean - figures.step.value)})
    return found


def summary_sentence(rows: Sequence[Row], found: Sequence[PairwiseResult]) -> str:
    """The fastest row of each group against its runner-up, then how many cases are the same training and ran."""
    parts = []
    for group, results in groupby(sorted(found, key=lambda result: result.group), key=lambda result: result.group):
        closest = {result.batch: result for result in reversed(list(results))}  # the runner-up comes first
        sentences = [_sentence(closest[batch]) for batch in sorted(closest)]
        parts.append((f"{group[0].upper()}{group[1:]}, " if group else "") + "; ".join(sentences))
    text = ". ".join(parts) or "Nothing could be compared"
    return f"{text}; {_validity(rows)}."


def _sentence(result: PairwiseResult) -> str:
    at = f"at batch {result.batch:,}"
    if result.tie:
        return (
            f"{at} {result.first} and {result.second} tie ({result.first} / {result.second} {interval(result.ratio)})"
        )
    because = f", because {result.cause}" if result.cause else ""
    faster = f"{at} {result.first} is {result.ratio.value:.2f} times as fast as {result.second}"
    return f"{faster} ({interval(result.ratio)}){because}"


def _validity(rows: Sequence[Row]) -> str:
    """Whether all judged cases are the same training, else which ones differ; and how many cases have no figures."""
    judged = [row for row in rows if row.verdict != "unknown"]
    wrong = [f"{row.case.variant} at batch {row.case.batch}" for row in judged if row.verdict == "differs"]
    unmeasured = sum(row.reason is not None for row in rows)
    if wrong:
        text = f"NOT THE SAME TRAINING: {', '.join(wrong)}"
    elif judged:
        text = f"every judged case is the same training ({len(judged)} of {len(rows)})"
    else:
        text = "none was judged to be the same training"
    return text + (f"; {unmeasured} of {len(rows)} not measured" if unmeasured else "")
