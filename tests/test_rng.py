"""Random draws: functions of what they are for, and of nothing else."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.rng import Rng

CPU = torch.device("cpu")


def mask(
    seed: int = 0, step: int = 0, layer: str = "dropout6", rows: slice = slice(None), columns: slice = slice(None)
) -> torch.Tensor:
    return Rng(seed).dropout_mask(layer, step, 0.5, 64, 96, rows, columns, CPU)


@given(st.integers(0, 64), st.integers(0, 64), st.integers(0, 96), st.integers(0, 96))
def test_a_part_of_a_mask_is_that_part_of_the_whole(a: int, b: int, c: int, d: int) -> None:
    rows, columns = slice(min(a, b), max(a, b)), slice(min(c, d), max(c, d))
    assert torch.equal(mask(rows=rows, columns=columns), mask()[rows, columns])


def test_masks_differ_by_seed_step_and_layer() -> None:
    masks = [mask(), mask(seed=1), mask(step=1), mask(layer="dropout7")]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            agreement = float((one == other).double().mean())
            assert 0.4 < agreement < 0.6


def test_a_mask_keeps_the_expected_value() -> None:
    drawn = Rng(0).dropout_mask("dropout6", 3, 0.25, 1000, 1000, slice(None), slice(None), CPU)
    assert set(drawn.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75))}
    assert abs(float((drawn == 0).double().mean()) - 0.25) < 0.002


def test_weights_depend_on_seed_and_name_alone() -> None:
    a = Rng(7).normal("conv1.weight", (5, 5), 0.01)
    Rng(7).normal("conv2.weight", (5, 5), 0.01)
    torch.rand(3)
    assert torch.equal(a, Rng(7).normal("conv1.weight", (5, 5), 0.01))
    assert not torch.equal(a, Rng(8).normal("conv1.weight", (5, 5), 0.01))
    assert not torch.equal(a, Rng(7).normal("conv2.weight", (5, 5), 0.01))
