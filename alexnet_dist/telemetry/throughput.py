"""Images per second: the one definition, for training, summaries, compare and bench."""

from collections.abc import Sequence


def images_per_second(samples: Sequence[int], seconds: Sequence[float]) -> float:
    """Samples over the wall time of a window of steps, data wait included, on the slowest rank.

    Args:
        samples: of each step's global batch.
        seconds: wall time of each step, which adds up to the slowest rank's (`StepRecord.seconds`).
    """
    assert len(samples) == len(seconds), "of the same steps"
    return sum(samples) / sum(seconds)
