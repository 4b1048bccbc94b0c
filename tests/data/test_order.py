"""Every sample once an epoch, whatever the ranks, replicas and micro-batches."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from alexnet_dist.data.order import Order, fingerprint, share
from alexnet_dist.rng import Rng


@given(
    samples=st.integers(1, 300), batch=st.integers(1, 64), dp=st.integers(1, 5), accumulate=st.integers(1, 4),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_an_epoch_is_a_permutation_for_any_layout(
    samples: int, batch: int, dp: int, accumulate: int, epoch: int
) -> None:
    order = Order(Rng(1), samples, batch)
    first = epoch * order.steps_per_epoch
    seen, alone = [], []
    for step in range(first, first + order.steps_per_epoch):
        assert order.epoch(step) == epoch
        step_ids = [order.ids(step, rows) for index in range(dp) for rows in order.rows(step, dp, index, accumulate)]
        assert sum(map(len, step_ids)) == order.count(step)
        seen += torch.cat(step_ids).tolist()
        alone += order.ids(step, order.rows(step, 1, 0, 1)[0]).tolist()
    assert sorted(seen) == list(range(samples))
    # Not only the same set: each step's samples lie at the same positions of the global batch.
    assert seen == alone


def test_epochs_and_seeds_differ() -> None:
    orders = [Rng(0).permutation(0, 100), Rng(0).permutation(1, 100), Rng(1).permutation(0, 100)]
    assert not torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])


@given(st.integers(0, 1000), st.integers(1, 17))
def test_shares_are_disjoint_and_even(length: int, parts: int) -> None:
    shares = [share(length, parts, i) for i in range(parts)]
    assert [i for s in shares for i in range(s.start, s.stop)] == list(range(length))
    sizes = [s.stop - s.start for s in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_steps_fingerprint_is_that_of_its_samples() -> None:
    ids = Rng(0).permutation(0, 100)
    assert Order(Rng(0), 100, 8).fingerprint(ids[:30]) == fingerprint(ids[:30]) != fingerprint(ids[1:31])
