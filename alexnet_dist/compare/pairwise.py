"""The verdict in one sentence: like held against like, and the cause of the difference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from alexnet_dist.compare.results import COMMUNICATION, COMPUTE, DATA, OPTIMIZER, TOGETHER, Row, throughput_ratio
from alexnet_dist.compare.statistics import Estimate, Rounds, margin_of_ratio

_SPENDS = {
    COMPUTE: "computes {} longer a step",
    COMMUNICATION: "stands {} longer a step waiting for communication",
    DATA: "waits {} longer a step for data",
    OPTIMIZER: "spends {} longer a step in the optimiser",
    TOGETHER: "computes and communicates {} longer a step",
}


@dataclass(frozen=True)
class PairwiseResult:
    """The fastest row of a group of likes against another one of it.

    Attributes:
        likes: what the group has in common besides the batch, in words.
        ratio: throughput of `first` over `second`.
        tie: the ratio is inside the noise.
        cause: what `second` spends the difference on; empty for a tie.
    """

    batch: int
    likes: str
    first: str
    second: str
    ratio: Estimate
    tie: bool
    cause: str


def pairwise_results(rows: Sequence[Row], noise: float) -> list[PairwiseResult]:
    """In each group of rows with the same batch, ranks and wire dtype, the fastest against each other one; only rows
    that are the same training take part.

    Where no group has two rows, the rows of each batch are held against each other, whatever their ranks and wires.
    """
    counting = [row for row in rows if row.counts]
    steps = [row.figures.seconds for row in rows if row.figures is not None]

    def race(group: Sequence[Row], likes: str) -> list[PairwiseResult]:
        first, *others = sorted(group, key=_speed, reverse=True)
        return [_duel(first, other, likes, steps, noise) for other in others]

    found = [duel for group in _groups(counting, _likes) for duel in race(group, _words(group[0]))]
    if found:
        return found
    return [duel for group in _groups(counting, lambda row: (row.case.batch,)) for duel in race(group, "")]


def _likes(row: Row) -> tuple[int, int, str]:
    return row.case.batch, row.case.ranks, row.figures.wire if row.figures else ""


def _words(row: Row) -> str:
    ranks = f"on {row.case.ranks} ranks" if row.case.ranks > 1 else "in one process"
    return f"{ranks} with {_likes(row)[2]} on the wire" if row.case.ranks > 1 else ranks


def _groups(rows: Sequence[Row], key: Callable[[Row], tuple[int | str, ...]]) -> list[list[Row]]:
    return [list(group) for _, group in groupby(sorted(rows, key=key), key=key)]


def _speed(row: Row) -> float:
    return row.figures.images_per_second.value if row.figures else 0.0


def _name(row: Row) -> str:
    return row.case.variant


def _duel(first: Row, second: Row, likes: str, steps: Sequence[Rounds], noise: float) -> PairwiseResult:
    """`steps` are all cases', which tell how far the machine drifts between rounds."""
    assert first.figures is not None and second.figures is not None
    rounds = min(len(first.figures.seconds), len(second.figures.seconds))
    ratio = throughput_ratio(first, second).widened(margin_of_ratio(steps, rounds))
    tie = ratio.is_tie(noise)
    cause = "" if tie else _cause(first, second)
    return PairwiseResult(first.case.batch, likes, _name(first), _name(second), ratio, tie, cause)


def _cause(first: Row, second: Row) -> str:
    """What the slower one spends most of the difference on."""
    assert first.figures is not None and second.figures is not None
    ours, theirs = _comparable(first.figures.parts, second.figures.parts)
    extra = {part: theirs[part] - ours.get(part, 0.0) for part in theirs}
    part = max(extra, key=lambda name: extra[name])
    return f"{_name(second)} {_SPENDS[part].format(seconds(extra[part]))}" if extra[part] > 0 else ""


def _comparable(ours: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[dict[str, float], ...]:
    """Both with compute and communication together, where either cannot tell them apart."""
    if (TOGETHER in ours) == (TOGETHER in theirs):
        return dict(ours), dict(theirs)
    merged = []
    for parts in (ours, theirs):
        together = parts.get(TOGETHER, parts.get(COMPUTE, 0.0) + parts.get(COMMUNICATION, 0.0))
        merged.append({TOGETHER: together, DATA: parts[DATA], OPTIMIZER: parts[OPTIMIZER]})
    return merged[0], merged[1]


def seconds(value: float) -> str:
    """For reading: 1.23 s, 45 ms, 0.6 ms."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.0f} ms" if value >= 0.01 else f"{value * 1e3:.1f} ms"


def headline(rows: Sequence[Row], found: Sequence[PairwiseResult]) -> str:
    """One sentence: the closest race of each group of likes, then what must be known about it."""
    parts = []
    for likes, group in groupby(sorted(found, key=lambda duel: duel.likes), key=lambda duel: duel.likes):
        closest = {duel.batch: duel for duel in reversed(list(group))}  # a group's first duel is against the runner-up
        sayings = [_saying(closest[batch]) for batch in sorted(closest)]
        parts.append((f"{likes[0].upper()}{likes[1:]}, " if likes else "") + "; ".join(sayings))
    text = ". ".join(parts) or "Nothing could be compared"
    return f"{text}; {_state(rows)}."


def _saying(duel: PairwiseResult) -> str:
    at = f"at batch {duel.batch:,}"
    if duel.tie:
        return f"{at} {duel.first} and {duel.second} tie ({interval(duel.ratio)})"
    because = f", because {duel.cause}" if duel.cause else ""
    return (
        f"{at} {duel.first} is {duel.ratio.value:.2f} times as fast as {duel.second} ({interval(duel.ratio)}){because}"
    )


def interval(ratio: Estimate) -> str:
    return f"{ratio.low:.2f} to {ratio.high:.2f}"


def _state(rows: Sequence[Row]) -> str:
    """How many rows are the same training, and how many failed."""
    known = [row for row in rows if row.parity is not None and row.parity.failure is None]
    wrong = [f"{row.case.variant} at batch {row.case.batch}" for row in known if row.parity and not row.parity.same]
    failed = sum(row.reason is not None for row in rows)
    same = f"NOT THE SAME TRAINING: {', '.join(wrong)}" if wrong else f"all {len(known)} judged are the same training"
    return same + (f"; {failed} of {len(rows)} failed" if failed else "")
