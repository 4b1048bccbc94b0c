"""How far a sum of gradients in bf16 may lie from the exact one follows from the number of ranks."""

import pytest
import torch

from alexnet_dist.compare.case_parity import wire_tolerance


def error_of_ring(ranks: int, alike: float) -> float:
    """Of a sum that rounds after every addition; `alike` is the fraction that all ranks' shares have in common."""
    draws = torch.Generator().manual_seed(ranks)
    common = torch.randn(20_000, generator=draws)
    shares = [alike * common + (1 - alike) * torch.randn(20_000, generator=draws) for _ in range(ranks)]
    total = shares[0].bfloat16()
    for share in shares[1:]:
        total = (total.float() + share.bfloat16().float()).bfloat16()
    exact = torch.stack(shares).double().sum(0)
    return float((total - exact).norm() / exact.norm())


@pytest.mark.parametrize("ranks", [2, 4, 64, 512])
def test_honest_rounding_is_within_the_tolerance_and_not_far(ranks: int) -> None:
    for alike in (0.0, 0.5):
        assert wire_tolerance(ranks) / 10 < error_of_ring(ranks, alike) < wire_tolerance(ranks)


def test_a_sum_that_takes_no_more_is_not() -> None:
    assert error_of_ring(512, alike=1.0) > wire_tolerance(512)
    assert error_of_ring(512, alike=0.5) > wire_tolerance(2)  # a fixed limit would call that wrong, too
