"""Dropout masks by the Triton kernel, in Triton's interpreter: bit by bit those of torch's operations."""

from typing import Any

import pytest
import torch
from interpreted_kernels import interpreted
from torch.utils._python_dispatch import TorchDispatchMode

from alexnet_dist.rng import Rng

CPU = torch.device("cpu")


class Operations(TorchDispatchMode):
    """Counts torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("seed", [0, 1, 2**62])
@pytest.mark.parametrize(
    "step, rate, rows, columns",
    [
        (3, 0.5, slice(4, 20), slice(0, 64)),
        (2**40, 0.3, slice(0, 3), slice(5, 71)),  # within words
        (7, 1.0, slice(1, 2), slice(2, 7)),
        (7, 0.0, slice(1, 2), slice(2, 7)),
        (1, 0.5, slice(0, 40), slice(2048, 2100)),  # more than a block, of the second tower
        (1, 0.5, slice(3, 3), slice(0, 8)),
    ],
)
def test_the_same_bits(seed: int, step: int, rate: float, rows: slice, columns: slice) -> None:
    expected = Rng(seed).dropout_mask("dropout6", step, rate, rows, columns, CPU)
    with interpreted():
        mask = Rng(seed).dropout_mask("dropout6", step, rate, rows, columns, CPU)
    assert mask.dtype == expected.dtype and torch.equal(mask, expected)


def test_one_kernel_in_place_of_thirty_operations() -> None:
    given = ("dropout6", 3, 0.5, slice(0, 8), slice(0, 64), CPU)
    with Operations() as without:
        Rng(0).dropout_mask(*given)
    with interpreted(), Operations() as used:
        Rng(0).dropout_mask(*given)
    # The interpreter itself copies its arguments there and back.
    assert len(without.names) > 30 > len(used.names) and not any("bitwise" in name for name in used.names)


def test_a_step_that_is_a_tensor_is_drawn_by_torchs_operations() -> None:
    """As a captured graph needs it."""
    given = (0.5, slice(0, 8), slice(0, 64), CPU)
    expected = Rng(0).dropout_mask("dropout6", 3, *given)
    with interpreted():
        assert torch.equal(Rng(0).dropout_mask("dropout6", torch.tensor(3), *given), expected)
