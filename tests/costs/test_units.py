"""Numbers as people read them."""

import pytest

from alexnet_dist.costs.units import loss_text


@pytest.mark.parametrize(
    ("loss", "shown"), [(2.30259, "2.3026"), (0.0, "0.0000"), (12_345.67, "12345.6700"), (1.2345678e26, "1.235e+26")]
)
def test_a_loss_takes_no_more_space_where_a_run_is_about_to_diverge(loss: float, shown: str) -> None:
    assert loss_text(loss) == shown
