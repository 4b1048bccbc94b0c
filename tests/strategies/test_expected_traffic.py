"""What strategies expect to send, against the published figures; the counter's side is in the parity tests."""

import torch

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, table_of
from alexnet_dist.distributed.mesh import Layout, World
from alexnet_dist.strategies.parts.replicas import expected_reduction
from alexnet_dist.strategies.parts.towers import expected_exchanges

TABLE = table_of(resolve(load(["--net.name", "alexnet_2012", "--data.name", "synthetic"]), 1).net)
TWO = World(0, 2, torch.device("cpu"), None)


def test_the_split_of_2012_moves_61_172_values_an_image_whatever_the_batch() -> None:
    for samples in (1, 128):
        exchanges = expected_exchanges(TABLE, Layout(TWO, 2, None), samples, torch.float32)
        assert exchanges == {"forward": samples * 30_836 * 4, "backward": samples * 30_336 * 4}
    assert sum(expected_exchanges(TABLE, Layout(TWO, 2, None), 128, torch.float32).values()) == 31_320_064


def test_data_parallelism_moves_every_gradient_whatever_the_batch() -> None:
    assert expected_reduction(TABLE.parameters, Layout(TWO, 1, None), torch.float32) == 243_860_896
    assert expected_reduction(TABLE.parameters, Layout(TWO, 1, None), torch.bfloat16) == 121_930_448


def test_both_are_equal_at_a_global_batch_of_about_997() -> None:
    split = sum(expected_exchanges(TABLE, Layout(TWO, 2, None), 1, torch.float32).values())
    assert round(expected_reduction(TABLE.parameters, Layout(TWO, 1, None), torch.float32) / split) == 997
