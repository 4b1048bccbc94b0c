"""fp16's loss scale on real ranks: an overflow in one tower skips the step in both."""

import json
from pathlib import Path

import preloaded
import pytest
import torch

from alexnet_dist.strategies.parts.loss_scale import GROWTH_STEPS, START, LossScale

PROGRAM = Path(__file__).with_name("scaled_towers.py")


def test_towers_skip_together_and_scaling_changes_nothing_else() -> None:
    # Whether gloo's connections close in peace after the result is no matter of this test.
    done = preloaded.run([str(PROGRAM)], ranks=2)
    results = [text[7:] for text in done.stdout.splitlines() if text.startswith("RESULT ")]
    assert results, done.stderr
    ranks = json.loads(results[0])
    for rank in ranks:
        assert rank["plain moved"] > 1e-4 and rank["skipped"] == 0.0
        # Powers of two scale without rounding.
        assert rank["scaled differs"] == pytest.approx(0, abs=1e-7) == rank["clipped differs"]
        assert rank["norm"] == ranks[0]["norm"]
        # Only rank 1 saw the inf.
        assert (rank["moved in spite of inf"], rank["overflowed"], rank["factor"]) == (0.0, 1.0, START / 2)


def test_the_factor_doubles_after_many_good_steps() -> None:
    scale = LossScale(torch.device("cpu"))
    for _ in range(GROWTH_STEPS - 1):
        assert float(scale.update(torch.tensor(1.0))) == 0.0
    assert float(scale.factor) == START
    scale.update(torch.tensor(1.0))
    assert float(scale.factor) == 2 * START
    assert float(scale.update(torch.tensor(float("nan")))) == 1.0 and float(scale.factor) == START
