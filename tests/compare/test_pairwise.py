"""The verdict: only comparable cases are compared, a wrong case never wins, and the cause is the largest difference."""

from dataclasses import replace

from matplotlib.figure import Figure

from alexnet_dist.compare.case_parity import CaseParity
from alexnet_dist.compare.cases import Case
from alexnet_dist.compare.pairwise import pairwise_results, summary_sentence
from alexnet_dist.compare.plots import PLOTS, crossing
from alexnet_dist.compare.rows import Figures, Row
from alexnet_dist.compare.statistics import Timings, median_estimate, throughput_estimate

SAME = CaseParity(1e-7, "conv1.weight", None, True)


def figures(steps: list[float], wire: str, communication: float, sent: int, constant: int) -> Figures:
    timings = Timings(32, [steps] * 3)
    parts = {"compute": 0.5, "communication": communication, "data wait": 0.0, "optimizer": 0.1}
    return Figures(
        timings=timings, step=median_estimate(timings.step_seconds), images_per_second=throughput_estimate(timings),
        parts=parts, wire=wire, sent_bytes=sent, expected_bytes=sent, constant_bytes=constant, peak_memory_bytes=1,
        parameters=1, held_bytes={}, expected_held_bytes={}, mfu=None, losses=[2.0], devices=2,
    )  # fmt: skip


def row(
    strategy: str,
    seconds: float,
    wire: str = "fp32",
    parity: CaseParity = SAME,
    ranks: int = 2,
    hiccups: tuple[float, ...] = (),
) -> Row:
    """A case whose steps take `seconds`, the last of each round longer by one of the hiccups."""
    sent, constant = (244_000_000, 244_000_000) if strategy == "ddp" else (8_000_000, 0)
    case = Case(strategy, "bf16" if wire == "bf16" else None, ranks, 32, 32, None)
    steps = [seconds * (1 + 0.001 * i) for i in range(5)] + [seconds + hiccup for hiccup in hiccups]
    return Row(case, parity, figures(steps, wire, seconds - 0.6, sent, constant), None)


def test_only_likes_are_compared_and_the_cause_is_the_largest_difference() -> None:
    rows = [row("single", 0.6, "-", ranks=1), row("ddp", 1.2), row("ddp", 0.9, "bf16"), row("split", 1.0)]
    (result,) = pairwise_results(rows, 0.02)
    assert (result.first, result.second, result.group) == ("split", "ddp", "on 2 ranks with fp32 on the wire")
    assert abs(result.ratio.value - 1.2) < 1e-6 and not result.tie
    assert result.cause == "ddp spends 200 ms more per step waiting for communication"
    sentence = summary_sentence(rows, [result])
    assert sentence.startswith(
        "On 2 ranks with fp32 on the wire, at batch 32 split is 1.20 times as fast as ddp (1.20 to 1.20)"
    )
    assert sentence.endswith("every judged case is the same training (4 of 4).") and sentence.count(". ") == 0


def test_steps_that_are_slow_again_and_again_count_and_are_named_as_the_cause() -> None:
    """The medians are equal; one step in six of ddp's takes a second more."""
    rows = [row("ddp", 1.0, hiccups=(1.0,)), row("split", 1.0, hiccups=(0.0,))]
    (result,) = pairwise_results(rows, 0.02)
    assert (result.first, result.tie) == ("split", False) and result.ratio.value > 1.15
    assert result.cause == "ddp spends 166 ms more per step in steps that take longer than usual"


def test_a_difference_within_the_noise_is_a_tie() -> None:
    rows = [row("ddp", 1.01), row("split", 1.0)]
    (result,) = pairwise_results(rows, 0.02)
    assert "split and ddp tie (split / ddp 1.01 to 1.01)" in summary_sentence(rows, [result])
    assert result.tie and not pairwise_results(rows, 0.001)[0].tie


def test_a_wrong_or_failed_or_unknown_case_wins_nothing() -> None:
    wrong, unknown = CaseParity(0.01, "conv2.weight", None, False), CaseParity(failure="out of memory")
    failed = Row(row("ddp", 1.0).case, SAME, None, "out of memory")
    rows = [row("ddp", 0.5, parity=wrong), row("split", 0.5, parity=unknown), failed]
    assert pairwise_results(rows, 0.02) == []
    sentence = summary_sentence(rows, [])
    assert "NOT THE SAME TRAINING: ddp at batch 32" in sentence and "1 of 3 not measured" in sentence


def test_where_there_are_no_likes_the_cases_of_a_batch_are_compared() -> None:
    (result,) = pairwise_results([row("single", 0.8, "-", ranks=1), row("split", 1.0)], 0.02)
    assert (result.first, result.second, result.group) == ("single", "split", "")


def test_constant_and_growing_bytes_cross_where_they_are_equal() -> None:
    ddp, split = row("ddp", 1.0), row("split", 1.0)
    assert ddp.figures is not None and split.figures is not None
    batch, sent = crossing((ddp, ddp.figures), (split, split.figures)) or (0.0, 0.0)
    assert (batch, sent) == (976.0, 244_000_000) and crossing((ddp, ddp.figures), (ddp, ddp.figures)) is None


def test_the_steps_of_losses_are_whole_numbers() -> None:
    two = replace(figures([1.0], "fp32", 0.4, 1, 1), losses=[2.0, 1.9])
    axes = Figure().subplots()
    PLOTS["losses"][1](axes, [Row(Case("ddp", None, 2, 32, 32, None), SAME, two, None)])
    assert all(tick == int(tick) for tick in axes.get_xticks())
