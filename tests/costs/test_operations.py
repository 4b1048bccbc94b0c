"""Operations of a trained image."""

import pytest

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.costs.operations import training_operations


def test_the_net_of_2012() -> None:
    """Forward takes 720 million multiply-adds; backward takes two more of each, but none for the image's gradient."""
    table = table_of(resolve(load(["--net.name", "alexnet_2012", "--data.name", "synthetic"]), 1).net)
    assert training_operations(table) == pytest.approx(4.136e9, rel=1e-3)
