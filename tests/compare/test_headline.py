"""The verdict: like against like, nothing crowned that is wrong, a cause that is the largest difference."""

from alexnet_dist.compare.cases import Case
from alexnet_dist.compare.pairwise import headline, pairwise_results
from alexnet_dist.compare.plots import crossing
from alexnet_dist.compare.results import Figures, Row
from alexnet_dist.compare.statistics import Rounds, median_estimate
from alexnet_dist.compare.verdicts import Parity

SAME = Parity(1e-7, "conv1.weight", None, True)


def figures(seconds: float, wire: str, communication: float, sent: int, constant: int) -> Figures:
    steps: Rounds = [[seconds * (1 + 0.001 * i) for i in range(5)]] * 3
    step = median_estimate(steps)
    parts = {"compute": 0.5, "communication": communication, "data wait": 0.0, "optimizer": 0.1}
    return Figures(
        seconds=steps, step=step, images_per_second=step.inverse(32), wall_images_per_second=32 / seconds, parts=parts,
        wire=wire, sent=sent, expected=sent, constant=constant, memory=1, parameters=1, held={}, expected_held={},
        mfu=None, losses=[2.0], devices=2,
    )  # fmt: skip


def row(strategy: str, seconds: float, wire: str = "fp32", parity: Parity = SAME, ranks: int = 2) -> Row:
    sent, constant = (244_000_000, 244_000_000) if strategy == "ddp" else (8_000_000, 0)
    case = Case(strategy, "bf16" if wire == "bf16" else None, ranks, 32, 32, None)
    return Row(case, parity, figures(seconds, wire, seconds - 0.6, sent, constant), None)


def test_only_likes_are_compared_and_the_cause_is_the_largest_difference() -> None:
    rows = [row("single", 0.6, "-", ranks=1), row("ddp", 1.2), row("ddp", 0.9, "bf16"), row("split", 1.0)]
    (duel,) = pairwise_results(rows, 0.02)
    assert (duel.first, duel.second, duel.likes) == ("split", "ddp", "on 2 ranks with fp32 on the wire")
    assert abs(duel.ratio.value - 1.2) < 1e-6 and not duel.tie
    assert duel.cause == "ddp stands 200 ms longer a step waiting for communication"
    said = headline(rows, [duel])
    assert said.startswith(
        "On 2 ranks with fp32 on the wire, at batch 32 split is 1.20 times as fast as ddp (1.20 to 1.20)"
    )
    assert said.endswith("all 4 judged are the same training.") and said.count(". ") == 0


def test_a_difference_inside_the_noise_is_a_tie() -> None:
    rows = [row("ddp", 1.01), row("split", 1.0)]
    (duel,) = pairwise_results(rows, 0.02)
    assert duel.tie and "tie" in headline(rows, [duel]) and not pairwise_results(rows, 0.001)[0].tie


def test_a_wrong_or_failed_or_unknown_row_wins_nothing() -> None:
    wrong, unknown = Parity(0.01, "conv2.weight", None, False), Parity(failure="out of memory")
    failed = Row(row("ddp", 1.0).case, SAME, None, "out of memory")
    rows = [row("ddp", 0.5, parity=wrong), row("split", 0.5, parity=unknown), failed]
    assert pairwise_results(rows, 0.02) == []
    said = headline(rows, [])
    assert "NOT THE SAME TRAINING: ddp at batch 32" in said and "1 of 3 failed" in said


def test_where_there_are_no_likes_the_rows_of_a_batch_are_compared() -> None:
    (duel,) = pairwise_results([row("single", 0.8, "-", ranks=1), row("split", 1.0)], 0.02)
    assert (duel.first, duel.second, duel.likes) == ("single", "split", "")


def test_constant_and_growing_bytes_cross_where_they_are_equal() -> None:
    ddp, split = row("ddp", 1.0), row("split", 1.0)
    assert ddp.figures is not None and split.figures is not None
    batch, sent = crossing((ddp, ddp.figures), (split, split.figures)) or (0.0, 0.0)
    assert (batch, sent) == (976.0, 244_000_000) and crossing((ddp, ddp.figures), (ddp, ddp.figures)) is None
