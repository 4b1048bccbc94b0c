"""Images per second: the one definition, for training, summaries, compare and bench."""

from collections.abc import Sequence


def slowest_rank_seconds(rank_seconds: Sequence[Sequence[float]]) -> float:
    """Wall time of a window of steps: the largest total over ranks.

    This is less than the sum of each step's slowest rank where ranks are slow in turn.

    Args:
        rank_seconds: by step, by rank.
    """
    return max(sum(rank) for rank in zip(*rank_seconds, strict=True))


def images_per_second(samples: Sequence[int], rank_seconds: Sequence[Sequence[float]]) -> float:
    """Samples over the wall time of a window of steps, data wait included, on the slowest rank.

    Args:
        samples: of each step's global batch.
        rank_seconds: by step, by rank: wall time of the step in seconds.
    """
    return sum(samples) / slowest_rank_seconds(rank_seconds)
