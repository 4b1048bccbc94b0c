"""What a step costs beside its arithmetic does not grow with the ranks: every strategy on 8 ranks and on 512."""

from collections.abc import Mapping

import pytest
from long_forms import LONG_FORM

from alexnet_dist.cli import main
from alexnet_dist.commands.scaling import FLAGS, cases_of
from alexnet_dist.scaling.count import Costs
from alexnet_dist.scaling.measure import measure

FEW, MANY = 8, 512
LOGARITHM = 3  # log2(512) / log2(8)


def costs_of(strategy: str, *flags: str) -> Mapping[int, Costs]:
    own, fields = FLAGS.split(["--ranks", f"{FEW},{MANY}", "--net.name", "alexnet_small", *flags])
    return measure(cases_of(strategy, own, fields))


@pytest.mark.parametrize(
    "strategy, flags",
    [
        ("ddp", ()),
        ("split", ()),
        ("fsdp", ()),
        pytest.param("fsdp", ("--strategy.shard_ranks", "8"), marks=LONG_FORM),
        pytest.param("zero1", (), marks=LONG_FORM),
        pytest.param("zero2", (), marks=LONG_FORM),  # the class of zero1
        ("zero3", ()),
        pytest.param("zero3", ("--strategy.reshard_after_forward", "false"), marks=LONG_FORM),  # fewer gathers
    ],
)
def test_nothing_grows_with_the_ranks(strategy: str, flags: tuple[str, ...]) -> None:
    costs = costs_of(strategy, *flags)
    few, many = costs[FEW], costs[MANY]
    for cost in costs.values():
        assert cost.counted == cost.expected and cost.counted
        # Two steps of four samples on a rank; two layers of 64 units, half of them where towers share them.
        assert cost.random_words == 2 * 4 * 2 * 64 / 4 / (2 if strategy == "split" else 1)
    assert many.memory <= 1.5 * few.memory  # the allocator's own share varies by a quarter from run to run
    assert many.written <= 1.1 * few.written and many.printed == few.printed
    # A message up and one down with each step; a round may be counted with the step before or after.
    assert few.control.calls and many.control.calls <= few.control.calls + 2
    assert many.control.hops <= LOGARITHM * few.control.hops + 2 * 9
    assert many.start.hops == LOGARITHM * few.start.hops
    assert many.strategy.bytes <= 2 * few.strategy.bytes  # (N - 1) / N of them, and a sum where it was a part of one
    # Copies of a part are replicas, which sum too.
    assert many.strategy.calls <= few.strategy.calls * (2 if "--strategy.shard_ranks" in flags else 1)
    assert many.connections <= LOGARITHM * few.connections
    # In zero3 DeepSpeed's Python loops over the ranks.
    assert many.python_lines <= (LOGARITHM if strategy == "zero3" else 1.1) * few.python_lines


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--strategies", "ddp", "--ranks", f"{FEW},{MANY}", "--net.name", "alexnet_small"]
    assert main(["scaling", *flags, "--train.global_batch", "8"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("warning: train.global_batch: 8 has no effect: the command sets it\n")
    assert max(map(len, shown.splitlines())) <= 100
    growth = {
        cells[1].strip(): cells[-2].strip() for cells in (line.split("│") for line in shown.splitlines() if "│" in line)
    }
    assert growth["strategy: sent"] == growth["random words drawn"] == "constant"
    assert growth["control: hops"] == "logarithmic" and growth["strategy: hops"].startswith("x ")
    assert "as expected on every number of ranks" in shown and "NOT" not in shown
