"""The values of `data.augment`: each declares which settings it does not read."""

import pytest

from alexnet_dist.config.load import load
from alexnet_dist.config.resolve import resolve, warnings
from alexnet_dist.errors import UsageError

SET = ["--data.crop_padding=2", "--data.colour_noise=0.2", "--data.min_area=0.3", "--data.colour_jitter=0.1"]


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        ("none", ["crop_padding", "colour_noise", "min_area", "colour_jitter"]),
        ("alexnet", ["min_area", "colour_jitter"]),
        ("inception", ["crop_padding", "colour_noise"]),
    ],
)
def test_a_setting_without_effect_is_told(name: str, unread: list[str]) -> None:
    found = warnings(resolve(load([f"--data.augment={name}", *SET]), 1))
    assert [line.split(":")[0] for line in found] == [f"data.{field}" for field in unread]
    assert all(line.endswith(f"has no effect with data.augment {name}") for line in found)


def test_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data.augment: 2012"):
        load(["--data.augment=2012"])
