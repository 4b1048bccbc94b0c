"""Loss scaling for fp16: small gradients do not underflow, steps that overflow are skipped.

Whether a step overflowed is read from the gradient's norm over all ranks of a replica, so that all towers skip
together; torch's own scaler looks only at each rank's own gradients and would let towers drift apart. Nothing here
waits for the device.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

START = 2.0**16
GROWTH_STEPS = 2000  # as torch.amp.GradScaler


class LossScale:
    """The factor on the loss: halved where a step overflowed, doubled after many that did not."""

    def __init__(self, device: torch.device) -> None:
        self.factor = torch.full((), START, device=device)
        self._good_steps = torch.zeros((), dtype=torch.int32, device=device)

    def update(self, norm: Tensor) -> Tensor:
        """Judge a step and set the factor for the next one.

        Args:
            norm: of the scaled gradient, over all ranks.

        Returns:
            1.0 where the step overflowed and must be skipped, else 0.0; a scalar on the device.
        """
        overflowed = ~norm.isfinite()
        self._good_steps = torch.where(overflowed, 0, self._good_steps + 1)
        grows = self._good_steps >= GROWTH_STEPS
        grown = torch.where(grows, self.factor * 2, self.factor)
        self.factor = torch.where(overflowed, self.factor / 2, grown)
        self._good_steps = torch.where(grows, 0, self._good_steps)
        return overflowed.float()

    def state(self) -> dict[str, Tensor]:
        """Copies, for `Engine.state`."""
        return {
            "loss_scale.factor": self.factor.reshape(1).clone(),
            "loss_scale.good_steps": self._good_steps.reshape(1).clone(),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.factor = state["loss_scale.factor"].reshape(()).clone()
        self._good_steps = state["loss_scale.good_steps"].reshape(()).clone()
