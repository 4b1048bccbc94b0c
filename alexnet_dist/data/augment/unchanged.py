"""`data.augment` none."""

from typing import final

import torch
from torch import Tensor

from alexnet_dist.data.augment.base import Augmenter


@final
class Unchanged(Augmenter):
    """Training images as in evaluation."""

    def draw(self, epoch: int, ids: Tensor) -> Tensor:
        return torch.empty(len(ids), 0, dtype=torch.float64)

    def change(self, pixels: Tensor, draws: Tensor) -> Tensor:
        return self.transform.framed(pixels)
