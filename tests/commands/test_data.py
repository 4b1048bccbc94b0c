"""`alexnet-dist data`: flags that the named action does not use."""

import pytest

from alexnet_dist.cli import main


@pytest.mark.parametrize(
    "flags, refused",
    [
        ("fetch tiles --mirror http://nowhere.invalid", "--mirror: ['http://nowhere.invalid']: {} data fetch tiles"),
        ("fetch photographs --side 64", "--side: 64: {} data fetch photographs"),
        ("fetch --side 64", "--side: 64: {} data fetch fashion_mnist"),
        ("verify folder --size 64", "--size: 64: {} data verify"),
    ],
)
def test_a_flag_without_effect_is_refused(flags: str, refused: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *flags.split()]) == 2
    assert capfd.readouterr().err == f"error: {refused.format('has no effect on')}\n"
