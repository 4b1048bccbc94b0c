"""Which cases a comparison has, in which order they run, and which mistakes are refused."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from replaced_gpus import NO_GPU, OLD_DRIVER, ONE, Machine
from step_records import step_record

from alexnet_dist.cli import main
from alexnet_dist.compare import runner
from alexnet_dist.compare.cases import (
    Run,
    experiment_of,
    list_cases,
    measured_steps,
    run_flags,
    run_folder,
    schedule,
    set_measured_steps,
)
from alexnet_dist.compare.config import (
    FLAGS,
    SETTINGS,
    Comparison,
    load_comparison,
    store_settings,
    stored_comparison,
)
from alexnet_dist.compare.machine import pending_measurements
from alexnet_dist.compare.records import changed_setting, has_finished, steps_wanted
from alexnet_dist.config.load import load
from alexnet_dist.errors import UsageError
from alexnet_dist.telemetry.run_files import FORMAT

SMALL = ["--net.name", "alexnet_small", "--data.name", "synthetic"]


def comparison(*flags: str) -> Comparison:
    return load_comparison([*SMALL, *flags])


def test_strategies_times_batches_on_one_rank_where_a_strategy_takes_no_more() -> None:
    cases = list_cases(
        comparison("--strategies", "single,ddp,ddp:bf16,split", "--global-batches", "8,16", "--ranks", "2,4")
    )
    labels = [case.label for case in cases]
    assert labels[:7] == [
        "single-1x-b8", "ddp-2x-b8", "ddp-bf16-2x-b8", "split-2x-b8", "ddp-4x-b8", "ddp-bf16-4x-b8", "split-4x-b8",
    ]  # fmt: skip
    assert len(cases) == 14 and not any(case.error for case in cases)


def test_weak_scaling_keeps_the_batch_of_a_rank() -> None:
    cases = list_cases(
        comparison("--strategies", "single,ddp", "--ranks", "2,4", "--scaling", "weak", "--global-batches=8")
    )
    assert [(case.ranks, case.batch, case.global_batch) for case in cases] == [(1, 8, 8), (2, 8, 16), (4, 8, 32)]


def test_a_case_that_cannot_run_has_its_reason_and_a_comparison_of_none_is_refused() -> None:
    cases = list_cases(comparison("--strategies", "ddp,split", "--global-batches", "9"))
    assert [case.error is None for case in cases] == [False, True]
    assert "does not divide" in str(cases[0].error)
    with pytest.raises(UsageError, match=r"none can run here: .*does not divide"):
        list_cases(comparison("--strategies", "ddp", "--global-batches", "9"))


def test_rounds_alternate_and_controls_follow_their_runs() -> None:
    wanted = comparison("--strategies", "single,ddp,split", "--rounds", "3", "--control-rounds", "1")
    runs = schedule(wanted, list_cases(wanted))
    timed = [run.case.strategy for run in runs if not run.control]
    assert timed == ["single", "ddp", "split", "split", "ddp", "single", "single", "ddp", "split"]
    controls = [index for index, run in enumerate(runs) if run.control]
    assert [runs[index].case.strategy for index in controls] == ["ddp", "split"]
    assert all(runs[index - 1].case == runs[index].case for index in controls)


def test_cases_differ_in_nothing_but_what_is_compared() -> None:
    wanted = comparison("--optim.lr", "0.02", "--run.seed", "7", "--rounds", "1")
    runs = [run for run in schedule(wanted, list_cases(wanted)) if not run.control]
    experiments = [experiment_of(wanted, run.case, run) for run in runs]
    kept = [e.replace("strategy", name="ddp").replace("run", dir=None) for e in experiments]
    assert kept[0] == kept[1] == kept[2] and kept[0].run.seed == 7 and kept[0].optim.lr == 0.02
    assert {e.strategy.name for e in experiments} == {"single", "ddp", "split"}
    assert load(run_flags(wanted, runs[0])).train.max_steps == wanted.compare.warm_up + wanted.compare.steps


def finished(wanted: Comparison, run: Run, step_seconds: float) -> None:
    """A run directory as training leaves it, on one rank."""
    folder = run_folder(wanted, run)
    folder.mkdir(parents=True)
    steps = range(1, 1 + wanted.compare.warm_up + measured_steps(wanted, run.case))
    lines = [step_record(step=i, samples=run.case.global_batch, seconds=step_seconds).line() for i in steps]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps({'format': FORMAT, **line})}\n" for line in lines))
    (folder / "config.yaml").write_text(yaml.safe_dump(experiment_of(wanted, run.case, run).model_dump()))
    for name, content in {"summary.json": {}, "exit.json": {"code": 0}}.items():
        (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("step_seconds, steps", [(0.002, 1000), (0.1, 20), (0.25, None), (9.0, None)])
def test_a_case_whose_steps_pass_quickly_takes_more(step_seconds: float, steps: int | None, tmp_path: Path) -> None:
    wanted = comparison("--strategies", "single", "--steps", "8", "--seconds", "2", "--dir", str(tmp_path))
    runs = schedule(wanted, list_cases(wanted))
    finished(wanted, runs[0], step_seconds)
    assert steps_wanted(wanted, runs[0]) == steps
    if steps is not None:
        set_measured_steps(wanted, runs[0].case, steps)
        assert "was 11 and is" in str(changed_setting(wanted, runs[0]))
        assert [load(run_flags(wanted, run)).train.max_steps for run in runs] == [3 + steps] * 3
        assert steps_wanted(wanted, runs[0]) is None
        other = comparison("--strategies", "single", "--steps", "8", "--run.seed", "7", "--dir", str(tmp_path))
        assert measured_steps(other, runs[0].case) == 8


def test_a_comparison_that_was_moved_is_continued(tmp_path: Path) -> None:
    flags = ("--strategies", "single", "--dir")
    before, after = (comparison(*flags, str(tmp_path / name)) for name in ("before", "after"))
    (run, *_) = schedule(before, list_cases(before))
    finished(before, run, 1.0)
    before.folder.rename(after.folder)
    assert changed_setting(after, run) is None


def test_a_measurement_that_was_cut_short_is_repeated(tmp_path: Path) -> None:
    wanted = comparison("--strategies", "ddp", "--ranks", "2", "--dir", str(tmp_path))
    runs = schedule(wanted, list_cases(wanted))
    for text, left in (("{}", 0), ('{"links": [', 2)):
        for name in ("links-2.json", "peak-fp32.json"):
            (tmp_path / name).write_text(text)
        assert len(pending_measurements(wanted, runs)) == left


def test_a_run_that_was_too_short_is_repeated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The later rounds of its case have as many steps from the start."""
    wanted = comparison("--strategies", "single", "--steps", "8", "--seconds", "2", "--dir", str(tmp_path))
    taken: list[tuple[int, int]] = []

    class Started:
        def launch(self, ranks: int, run: Run) -> None:
            finished(wanted, run, 0.1)
            taken.append((run.round, measured_steps(wanted, run.case)))

    monkeypatch.setattr(runner, "launcher_of", lambda *_: Started())
    monkeypatch.setattr(runner, "run_program", lambda wanted, run: run)
    for run in schedule(wanted, list_cases(wanted)):
        runner._carry_out(wanted, run, lambda text: None)
    assert taken == [(1, 8), (1, 20), (2, 20), (3, 20)]


def test_a_run_whose_steps_are_gone_is_no_finished_one(tmp_path: Path) -> None:
    wanted = comparison("--strategies", "single", "--dir", str(tmp_path))
    run = schedule(wanted, list_cases(wanted))[0]
    finished(wanted, run, 9.0)
    assert has_finished(run_folder(wanted, run))
    (run_folder(wanted, run) / "metrics.jsonl").unlink()
    assert not has_finished(run_folder(wanted, run))


def test_what_starts_the_ranks_must_wait_for_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = ["--strategies", "single", "--rounds", "1", "--peak", "false", "--start-with", "true"]
    assert main(["compare", *SMALL, *flags, "--dir", str(tmp_path / "comparison")]) == 1
    assert "the ranks left no result: what starts them must wait" in " ".join(capfd.readouterr().out.split())


def test_rounds_after_the_first_are_as_long_as_it(tmp_path: Path) -> None:
    wanted = comparison("--strategies", "single", "--seconds", "2", "--dir", str(tmp_path))
    first, second, _ = schedule(wanted, list_cases(wanted))
    finished(wanted, first, 0.25)
    finished(wanted, second, 0.125)
    assert steps_wanted(wanted, first) is None and steps_wanted(wanted, second) is None


@pytest.mark.parametrize("machine, batches", [(NO_GPU, [128]), (ONE, [256, 1024]), (OLD_DRIVER, [128])])
def test_batches_that_fit_the_device(machine: Machine, batches: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    machine.replace(monkeypatch)
    assert comparison().compare.global_batches == batches
    assert comparison("--global-batches", "8").compare.global_batches == [8]


def test_an_experiment_file_serves_and_fields_without_effect_are_named() -> None:
    wanted = load_comparison(["--config", str(ROOT / "configs/smoke.yaml"), "--steps", "4"])
    assert wanted.folder == Path("runs/compare/smoke") and wanted.optim.lr == 3e-3
    assert [line.split(":")[0] for line in FLAGS.overridden_in(wanted)] == ["train.global_batch", "train.max_steps"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--rounds", "0"], "compare.rounds"),
        (["--global-batches", "32,many"], "many"),
        (["--strategies", "ddp:fp8"], "ddp:fp8"),
        (["--strategies", "magic"], "magic"),
        (["--strategies", "ddp:"], "compare.strategies.0"),  # a mapping in YAML
        (["--start-with", "mpirun '-n"], "compare.start_with: mpirun '-n: Input should be a command"),
        (["--start-with", " "], "compare.start_with: empty: Input should be a command"),
        (["--round", "3"], "unknown flag"),
        (["--compare.round", "3"], "no such field"),
    ],
)
def test_a_slip_is_refused_by_name(flags: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        list_cases(comparison(*flags))
    assert words in str(caught.value)


def test_a_stored_comparison_says_which_plugins_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = comparison("--strategies", "ddp,single", "--dir", str(tmp_path))
    monkeypatch.setenv("ALEXNET_DIST_PLUGINS", "planted, toy_column")
    store_settings(wanted)
    assert stored_comparison(str(tmp_path)) == wanted
    whole = (tmp_path / SETTINGS).read_text()
    for end in (whole.index("\n", 1) + 1, whole.index("  - ddp")):
        (tmp_path / SETTINGS).write_text(whole[:end])
        with pytest.raises(UsageError, match=r"its comparison\.yaml was cut short"):
            stored_comparison(str(tmp_path))
    (tmp_path / SETTINGS).write_text(whole)
    (tmp_path / SETTINGS).write_text((tmp_path / SETTINGS).read_text().replace("- ddp", "- slow"))
    loaded = "planted,toy_column"
    for named, told in ((loaded, ""), ("", f"; it was run with ALEXNET_DIST_PLUGINS={loaded}")):
        monkeypatch.setenv("ALEXNET_DIST_PLUGINS", named)
        with pytest.raises(UsageError) as caught:
            stored_comparison(str(tmp_path))
        line = str(caught.value)
        assert line.startswith("compare.strategies.0: slow: ")
        assert line.endswith(f"or another that a module in ALEXNET_DIST_PLUGINS registers{told}")


def test_every_case_of_the_configs_can_run() -> None:
    for path in (ROOT / "configs/compare").glob("*.yaml"):
        assert not any(case.error for case in list_cases(load_comparison(["--config", str(path)])))


@pytest.mark.filterwarnings("error::UserWarning")  # of plots of nothing
@pytest.mark.parametrize("codes, code", [((2, 2), 2), ((2, 1), 1)], ids=["all", "some"])
def test_where_the_ranks_of_every_case_refuse_it_so_does_the_comparison(
    codes: tuple[int, int], code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The other failure is a row of the report, as before."""
    script, folder = tmp_path / "ranks.sh", tmp_path / "comparison"
    refusal = "train.precision: fp16: not here"
    script.write_text(f'echo "error: {refusal}"; case "$*" in *single*) exit {codes[0]};; *) exit {codes[1]};; esac\n')
    flags = ["--strategies", "single,ddp", "--rounds", "1", "--peak", "false", "--start-with", f"sh '{script}'"]
    assert main(["compare", *SMALL, *flags, "--dir", str(folder)]) == code
    told = capfd.readouterr()
    assert told.err == (f"error: {refusal}\n" if code == 2 else "")
    assert (folder / "results.json").exists() == (code == 1) and ("2 of 2 not measured" in told.out) == (code == 1)


def test_print_command_shows_the_line_of_each_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *SMALL, "--print-command", "--rounds=1", "--start-with", "srun -n"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" -m alexnet_dist.cli train ")[0] for line in lines] == ["srun -n 1", *["srun -n 2"] * 4]
    assert ["--strategy.communicate false" in line for line in lines] == [False, False, True, False, True]
