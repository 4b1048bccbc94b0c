"""Random draws: functions of what they are for, and of nothing else."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alexnet_dist.rng import Rng

CPU = torch.device("cpu")
MASK64 = (1 << 64) - 1
ROWS, UNITS = 64, 96


def mask(
    seed: int = 0, step: int | Tensor = 0, layer: str = "dropout6", rows: slice = slice(0, ROWS),
    columns: slice = slice(0, UNITS),
) -> Tensor:  # fmt: skip
    return Rng(seed).dropout_mask(layer, step, 0.5, rows, columns, CPU)


def splitmix64(state: int) -> int:
    """The published generator's output for a state, in Python integers."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    state = (state ^ state >> 27) * 0x94D049BB133111EB & MASK64
    return state ^ state >> 31


def test_words_are_splitmix64_of_key_time_row_and_column() -> None:
    gamma, key = 0x9E3779B97F4A7C15, Rng(5)._key("purpose")
    words = Rng(5).words("purpose", 7, torch.tensor([3, 2**40]), range(2, 5))
    for row, drawn in zip((3, 2**40), words.tolist(), strict=True):
        row_key = splitmix64(splitmix64(key + 7 * gamma & MASK64) + (row + 1) * gamma & MASK64)
        assert [word & MASK64 for word in drawn] == [
            splitmix64(row_key + (column + 1) * gamma & MASK64) for column in range(2, 5)
        ]


def test_splitmix64_gives_its_published_sequence() -> None:
    # The first outputs of the authors' C program for the seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [splitmix64(1234567 + (i + 1) * 0x9E3779B97F4A7C15 & MASK64) for i in range(3)] == expected


@given(st.integers(0, ROWS), st.integers(0, ROWS), st.integers(0, UNITS), st.integers(0, UNITS))
def test_a_part_of_a_mask_is_that_part_of_the_whole(a: int, b: int, c: int, d: int) -> None:
    rows, columns = slice(min(a, b), max(a, b)), slice(min(c, d), max(c, d))
    assert torch.equal(mask(rows=rows, columns=columns), mask()[rows, columns])


def test_masks_differ_by_seed_step_and_layer() -> None:
    masks = [mask(), mask(seed=1), mask(step=1), mask(layer="dropout7")]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            agreement = float((one == other).double().mean())
            assert 0.4 < agreement < 0.6


def test_a_step_on_the_device_draws_as_a_step_of_the_host() -> None:
    assert torch.equal(mask(step=torch.tensor(9)), mask(step=9))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_a_mask_drops_at_its_rate_and_keeps_the_expected_value(rate: float) -> None:
    drawn = Rng(0).dropout_mask("dropout6", 3, rate, slice(0, 1000), slice(0, 4096), CPU)
    exact = round(rate * 2**16) / 2**16
    assert drawn.unique().tolist() == [0.0, float(torch.tensor(1 / (1 - exact)))]
    deviation = math.sqrt(rate * (1 - rate))
    dropped = (drawn == 0).double()
    assert abs(float(dropped.mean()) - exact) < 5 * deviation / math.sqrt(drawn.numel())
    by_row, by_unit = (dropped.mean(dim) for dim in (1, 0))
    # The means over rows and over units scatter as those of independent draws do.
    for means, count in ((by_row, 4096), (by_unit, 1000)):
        expected = deviation / math.sqrt(count)
        assert abs(float(means.std()) / expected - 1) < 5 / math.sqrt(2 * len(means))


def test_draws_of_neighbours_are_independent() -> None:
    def masks(step: int, layer: str) -> Tensor:
        return Rng(0).dropout_mask(layer, step, 0.5, slice(0, 512), slice(0, 2048), CPU) - 1

    one = masks(0, "dropout6")
    others = {
        "next step": masks(1, "dropout6"),
        "other layer": masks(0, "dropout7"),
        "next row": one.roll(1, 0),
        "a word on": one.roll(4, 1),
        **{f"unit {shift} on": one.roll(shift, 1) for shift in (1, 2, 3)},
    }
    for name, other in others.items():
        correlation = float((one.double() * other).mean())
        assert abs(correlation) < 5 / math.sqrt(one.numel()), name


def test_no_word_repeats_over_ten_thousand_steps_and_layers() -> None:
    seen = torch.cat([
        Rng(0).words(f"dropout {layer}", step, torch.arange(8), range(16)).flatten()
        for layer in ("dropout6", "dropout7") for step in range(5000)
    ])  # fmt: skip
    assert len(seen) == 10_000 * 128
    assert len(seen.unique()) == len(seen)  # by chance one repeats with a probability of 4e-8


def test_fractions_are_uniform_and_belong_to_epoch_and_sample() -> None:
    drawn = Rng(0).fractions("flip", 2, torch.arange(20_000), 3)
    assert drawn.dtype == torch.float64 and float(drawn.min()) >= 0 and float(drawn.max()) < 1
    counts = torch.histc(drawn.flatten().float(), 50, 0, 1)
    chi_squared = float(((counts - 1200) ** 2 / 1200).sum())
    assert 20 < chi_squared < 90  # 49 degrees of freedom: 1e-4 lies outside
    again = Rng(0).fractions("flip", 2, torch.tensor([17, 5]), 2)
    assert torch.equal(again, drawn[[17, 5], :2])
    assert not torch.equal(Rng(0).fractions("flip", 3, torch.tensor([17]), 1), again[:1, :1])


def test_bytes_are_uniform() -> None:
    drawn = Rng(0).random_bytes("pixels", torch.arange(1000), 1003)
    assert drawn.dtype == torch.uint8 and drawn.shape == (1000, 1003)
    counts = torch.bincount(drawn.flatten().int(), minlength=256).double()
    expected = drawn.numel() / 256
    assert 160 < float(((counts - expected) ** 2 / expected).sum()) < 360  # 255 degrees of freedom


def test_weights_depend_on_seed_and_name_alone() -> None:
    a = Rng(7).normal("conv1.weight", (5, 5), 0.01)
    Rng(7).normal("conv2.weight", (5, 5), 0.01)
    torch.rand(3)
    assert torch.equal(a, Rng(7).normal("conv1.weight", (5, 5), 0.01))
    assert not torch.equal(a, Rng(8).normal("conv1.weight", (5, 5), 0.01))
    assert not torch.equal(a, Rng(7).normal("conv2.weight", (5, 5), 0.01))
