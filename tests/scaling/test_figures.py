"""How a figure grows, in a word."""

import pytest

from alexnet_dist.scaling.figures import growth


@pytest.mark.parametrize(
    "values, word",
    [
        ({2: 1, 8: 5, 512: 5}, "constant"),  # below eight ranks nothing is judged
        ({8: 7 / 8, 512: 511 / 512}, "constant"),
        ({8: 0, 512: 0}, "constant"),
        ({8: 3, 512: 9}, "logarithmic"),
        ({8: 3, 64: 6, 512: 9.1}, "x 3.03"),
        ({8: 14, 512: 1022}, "x 73"),
        ({8: 8, 512: 1}, "falls"),
        ({8: 0, 512: 1}, "from none"),
        ({2: 1, 4: 2}, "logarithmic"),
        ({8: 10.0, 64: 30.0, 512: 12.0}, "x 3"),  # what grows in between grows
        ({8: 10.0, 64: 9.0, 512: 5.0}, "falls"),
    ],
)
def test_growth(values: dict[int, float], word: str) -> None:
    assert growth(values) == word
