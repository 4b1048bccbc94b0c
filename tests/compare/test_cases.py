"""Which cases a comparison has, in which order they run, and what a user can get wrong."""

from pathlib import Path

import pytest
from conftest import ROOT

from alexnet_dist.compare.cases import experiment_of, plan, run_flags, schedule
from alexnet_dist.compare.config import Comparison, ignored, load_comparison
from alexnet_dist.config.load import load
from alexnet_dist.errors import UsageError

SMALL = ["--net.name", "alexnet_small", "--data.name", "synthetic"]


def comparison(*flags: str) -> Comparison:
    return load_comparison([*SMALL, *flags])


def test_strategies_times_batches_with_one_rank_where_a_strategy_takes_no_more() -> None:
    cases = plan(comparison("--strategies", "single,ddp,ddp:bf16,split", "--global-batches", "8,16", "--ranks", "2,4"))
    labels = [case.label for case in cases]
    assert labels[:7] == [
        "single-1x-b8", "ddp-2x-b8", "ddp-bf16-2x-b8", "split-2x-b8", "ddp-4x-b8", "ddp-bf16-4x-b8", "split-4x-b8",
    ]  # fmt: skip
    assert len(cases) == 14 and not any(case.refusal for case in cases)


def test_weak_scaling_keeps_the_batch_of_a_rank() -> None:
    cases = plan(comparison("--strategies", "single,ddp", "--ranks", "2,4", "--scaling", "weak", "--global-batches=8"))
    assert [(case.ranks, case.batch, case.global_batch) for case in cases] == [(1, 8, 8), (2, 8, 16), (4, 8, 32)]


def test_what_cannot_run_is_a_case_with_its_reason_and_nothing_at_all_is_refused() -> None:
    cases = plan(comparison("--strategies", "ddp,split", "--global-batches", "9"))
    assert [case.refusal is None for case in cases] == [False, True]
    assert "does not divide" in str(cases[0].refusal)
    with pytest.raises(UsageError, match=r"none can run here: .*does not divide"):
        plan(comparison("--strategies", "ddp", "--global-batches", "9"))


def test_rounds_alternate_and_controls_follow_their_runs() -> None:
    wanted = comparison("--strategies", "single,ddp,split", "--rounds", "3", "--control-rounds", "1")
    runs = schedule(wanted, plan(wanted))
    timed = [run.case.strategy for run in runs if not run.control]
    assert timed == ["single", "ddp", "split", "split", "ddp", "single", "single", "ddp", "split"]
    controls = [index for index, run in enumerate(runs) if run.control]
    assert [runs[index].case.strategy for index in controls] == ["ddp", "split"]
    assert all(runs[index - 1].case == runs[index].case for index in controls)


def test_cases_differ_in_nothing_but_what_is_compared() -> None:
    wanted = comparison("--optim.lr", "0.02", "--run.seed", "7", "--rounds", "1")
    runs = [run for run in schedule(wanted, plan(wanted)) if not run.control]
    experiments = [experiment_of(wanted, run.case, run) for run in runs]
    kept = [e.replace("strategy", name="ddp").replace("run", dir=None) for e in experiments]
    assert kept[0] == kept[1] == kept[2] and kept[0].run.seed == 7 and kept[0].optim.lr == 0.02
    assert {e.strategy.name for e in experiments} == {"single", "ddp", "split"}
    assert load(run_flags(wanted, runs[0])).train.max_steps == wanted.compare.warm_up + wanted.compare.steps


def test_an_experiment_file_serves_and_what_plays_no_part_is_said() -> None:
    wanted = load_comparison(["--config", str(ROOT / "configs/smoke.yaml"), "--steps", "4"])
    assert wanted.folder == Path("runs/compare/smoke") and wanted.optim.lr == 3e-3
    assert [line.split(":")[0] for line in ignored(wanted)] == ["train.global_batch", "train.max_steps"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--rounds", "0"], "compare.rounds"),
        (["--global-batches", "32,many"], "many"),
        (["--strategies", "ddp:fp8"], "ddp:fp8"),
        (["--strategies", "magic"], "magic"),
        (["--round", "3"], "unknown flag"),
        (["--compare.round", "3"], "no such field"),
    ],
)
def test_a_slip_is_refused_by_name(flags: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(comparison(*flags))
    assert words in str(caught.value)


def test_the_configs_can_be_planned() -> None:
    for path in (ROOT / "configs/compare").glob("*.yaml"):
        assert not any(case.refusal for case in plan(load_comparison(["--config", str(path)])))
