"""Puts a batch together, row by row, and deals with images that cannot be read."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet_dist.data.dataset import UNREAD
from alexnet_dist.data.imagenet.decode import Pixels, Unreadable
from alexnet_dist.data.imagenet.random_reads import Numbers
from alexnet_dist.data.imagenet.threads import RowThreads
from alexnet_dist.errors import RankFailed

# Puts the image of a sample into a row: (row, sample's number, its pixels to be filled). It may raise Unreadable.
Fill = Callable[[int, int, Pixels], None]
# Puts the images of many samples into as many rows: (the rows, all samples' numbers, all pixels). Returns how many it
# has filled: those before the first that cannot be read, or fewer.
FillMany = Callable[[range, Numbers, Pixels], int]

MOST_IN_A_ROW = 100


@dataclass(frozen=True)
class Broken:
    """Images that could not be read.

    Attributes:
        refuse: whether one of them ends the run.
        reasons: by name.
    """

    refuse: bool
    reasons: dict[str, str]


class BatchReader:
    """Makes batches of one part.

    In training, the next sample that can be read stands in for one that cannot. So a broken image changes neither the
    number of samples nor, on any rank, which ones they are.

    Args:
        labels: by sample.
        name: of a sample, for messages.
        device: of batches.
        threads: fill the rows.
        broken: collects what could not be read; shared by the parts of a data set.
        replace: whether another image stands in for a broken one; else its row is black, its label UNREAD.
    """

    def __init__(
        self,
        labels: Numbers,
        name: Callable[[int], str],
        device: torch.device,
        threads: RowThreads,
        broken: Broken,
        replace: bool,
    ) -> None:
        self.labels, self.threads = labels, threads
        self._name, self._device, self._broken, self._replace = name, device, broken, replace
        self._skipped: set[int] = set()

    def batch(self, ids: Tensor, size: int, fill: Fill, fill_many: FillMany | None = None) -> tuple[Tensor, Tensor]:
        """Images and labels as `Samples.batch` gives them.

        Args:
            fill: fills the rows that `fill_many` does not.

        Raises:
            RankFailed: a broken image is refused, or too many are broken.
        """
        pinned = self._device.type == "cuda"  # memory that the GPU copies from while the host goes on
        pixels = torch.empty((len(ids), size, size, 3), dtype=torch.uint8, pin_memory=pinned)
        labels = torch.empty(len(ids), dtype=torch.int64, pin_memory=pinned)
        numbers, array, found = ids.numpy(), pixels.numpy(), labels.numpy()
        found[:] = self.labels[numbers]

        def fill_rows(rows: range) -> None:
            filled = fill_many(rows, numbers, array) if fill_many else 0
            for row in rows[filled:]:
                found[row] = self._fill_row(row, int(numbers[row]), array[row], fill)

        self.threads.share(len(ids), fill_rows)
        images = pixels.permute(0, 3, 1, 2)
        return images.to(self._device, non_blocking=True), labels.to(self._device, non_blocking=True)

    def _fill_row(self, row: int, number: int, pixels: Pixels, fill: Fill) -> int:
        """Fill a row and return its label."""
        most = min(MOST_IN_A_ROW, len(self.labels))
        for step in range(most):
            candidate = (number + step) % len(self.labels)
            if candidate not in self._skipped:
                try:
                    fill(row, candidate, pixels)
                    return int(self.labels[candidate])
                except Unreadable as error:
                    self._skip(candidate, str(error))
            if not self._replace:
                pixels[:] = 0
                return UNREAD
        raise RankFailed(f"{most} images in a row cannot be read, the first is {self._name(number)}")

    def _skip(self, number: int, reason: str) -> None:
        name = self._name(number)
        if self._broken.refuse:
            raise RankFailed(f"{name} cannot be read ({reason}): repair or remove it, or set data.broken to skip")
        self._skipped.add(number)
        self._broken.reasons[name] = reason
