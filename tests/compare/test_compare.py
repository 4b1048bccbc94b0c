"""A whole comparison of planted strategies, killed half-way and resumed, as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import preloaded
import psutil
import pytest
import yaml
from conftest import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from waiting import wait_until
from wandb_file import contents

from alexnet_dist.cli import main
from alexnet_dist.compare.cases import Case, Run
from alexnet_dist.compare.config import SETTINGS, load_comparison
from alexnet_dist.compare.records import changed_setting, read_run

STARTER = Path(__file__).with_name("starter.py")
PATHS = [str(path) for path in (ROOT, ROOT / "tests/compare", ROOT / "tests/plugins")]
VARIABLES = {
    "ALEXNET_DIST_PLUGINS": "planted",
    "PYTHONPATH": os.pathsep.join(PATHS),
    "WANDB_MODE": "offline",
}
FLAGS = [
    *("--strategies", "ddp,wrong:bf16,slow,killed", "--global-batches", "16", "--rounds", "1", "--steps", "6"),
    *("--seconds", "0", "--warm-up", "2", "--peak", "false", "--net.name", "alexnet_small", "--data.name", "synthetic"),
    *("--tracking.with", "wandb,tensorboard", "--start-with", f"{sys.executable} {STARTER}"),
]
PATIENCE = 600.0


def command(*flags: str) -> list[str]:
    return [sys.executable, str(ROOT / "launch/compare.py"), *flags]


def report_again(folder: Path, plugins: str = "planted") -> "subprocess.CompletedProcess[str]":
    return preloaded.run(command("--from", str(folder))[1:], {**VARIABLES, "ALEXNET_DIST_PLUGINS": plugins})


def processes_in(folder: Path) -> list[psutil.Process]:
    """The processes with the folder in their command lines."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@dataclass(frozen=True)
class Outcome:
    """Attributes:
    untouched: what the finished runs' files were when the first attempt was killed.
    """

    folder: Path
    code: int
    output: str
    untouched: dict[Path, int]

    def results(self) -> dict[str, Any]:
        return json.loads((self.folder / "results.json").read_text())

    def row(self, strategy: str, dtype: str | None = None) -> dict[str, Any]:
        rows = self.results()["rows"]
        return next(r for r in rows if (r["case"]["strategy"], r["case"]["gradient_dtype"]) == (strategy, dtype))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("compare") / "planted"
    line, forks = command(*FLAGS, "--dir", str(folder))[1:], {**VARIABLES, **preloaded.FORKS_RANKS}
    (first,) = preloaded.start(line, folder.parent, {**forks, preloaded.STARTS: "wrong"}).processes
    third = folder / "runs" / "wrong-bf16-2x-b16-round-1"
    wait_until(lambda: (third / "config.yaml").exists(), PATIENCE)
    assert first.is_alive()
    first.kill()
    first.join()
    wait_until(lambda: not processes_in(folder))  # what it had started ends with it
    done = [path for path in (folder / "runs").glob("*/metrics.jsonl") if (path.parent / "summary.json").exists()]
    untouched = {path: path.stat().st_mtime_ns for path in done}
    again = preloaded.run(line, {**forks, preloaded.STARTS: "killed"})
    yield Outcome(folder, again.returncode, again.stdout + again.stderr, untouched)


def test_finished_runs_are_not_repeated_and_the_result_is_complete(outcome: Outcome) -> None:
    assert {path.parent.name for path in outcome.untouched} >= {"ddp-2x-b16-round-1", "ddp-2x-b16-control-1"}
    assert f"resuming: {len(outcome.untouched)} of 8 runs and 4 of 4 parity verdicts" in outcome.output
    assert all(path.stat().st_mtime_ns == before for path, before in outcome.untouched.items())
    assert [row["figures"] is not None for row in outcome.results()["rows"]] == [True, True, True, False]
    assert outcome.results()["format"] == 3
    figures = outcome.row("ddp")["figures"]
    assert len(figures["timings"]["step_seconds"][0]) == 6 and len(figures["losses"]) == 8


def test_a_slow_strategy_loses_and_the_cause_is_named(outcome: Outcome) -> None:
    slow, fast = outcome.row("slow")["figures"], outcome.row("ddp")["figures"]
    assert slow["images_per_second"]["high"] < fast["images_per_second"]["low"]
    assert max(slow["parts"], key=slow["parts"].get) == "optimizer"
    (pair,) = outcome.results()["pairwise"]
    assert (pair["first"], pair["second"], pair["tie"]) == ("ddp", "slow", False)
    assert "more per step in the optimizer" in outcome.results()["summary"]


def test_a_wrong_strategy_is_red_and_wins_nothing(outcome: Outcome) -> None:
    verdict = outcome.row("wrong", "bf16")["parity"]
    assert not verdict["same"] and verdict["where"] == "conv2.weight"
    assert verdict["gradient"] == pytest.approx(0.01, rel=0.01)
    assert outcome.code == 1 and "NOT THE SAME TRAINING: wrong:bf16" in outcome.results()["summary"]
    for name in ("ddp", "slow"):
        assert outcome.row(name)["parity"]["same"] and outcome.row(name)["parity"]["gradient"] < 1e-5


def test_a_case_that_is_killed_is_a_row_with_its_reason(outcome: Outcome) -> None:
    row = outcome.row("killed")
    assert row["figures"] is None and "was killed by SIGKILL (most often: out of memory)" in row["reason"]
    assert "1 of 4 not measured" in outcome.results()["summary"]


def test_a_control_run_sends_nothing_and_the_others_what_the_table_says(outcome: Outcome) -> None:
    for name, dtype, wire in (("ddp", None, "fp32"), ("wrong", "bf16", "bf16"), ("slow", None, "fp32")):
        figures = outcome.row(name, dtype)["figures"]
        assert figures["sent_bytes"] == figures["expected_bytes"] > 0 and figures["wire"] == wire
    controls = list((outcome.folder / "runs").glob("*control*/metrics.jsonl"))
    assert len(controls) == 3
    for path in controls:
        assert all(json.loads(line)["sent_bytes"] == 0 for line in path.read_text().splitlines())


def test_the_table_fits_100_columns_and_the_report_is_one_file(outcome: Outcome) -> None:
    tables = [line for line in outcome.output.splitlines() if line.split(" ")[0] in ("strategy", "ddp", "wrong:bf16")]
    assert len(tables) == 9 and max(map(len, tables)) <= 100
    page = (outcome.folder / "report.html").read_text()
    assert page.count("<svg") == 4 and "DIFFERS" in page and "Like against like" in page
    assert not [word for word in ("<script", "<link", "src=", "@import") if word in page]
    assert all((outcome.folder / f"{name}.png").stat().st_size > 0 for name in ("throughput", "traffic", "breakdown"))
    assert "NOT THE SAME TRAINING" in (outcome.folder / "report.md").read_text()


def test_the_links_between_ranks_are_reported(outcome: Outcome) -> None:
    links = outcome.results()["links"]
    assert [link["what"] for link in links] == ["all-reduce", "pair exchange"]
    assert all(link["bandwidth"] > 0 and link["latency"] > 0 for link in links)
    assert "| pair exchange | within a node | 2 |" in (outcome.folder / "report.md").read_text()


def test_wandb_has_a_run_a_case_and_a_summary_in_one_group(outcome: Outcome) -> None:
    runs = [contents(path) for path in outcome.folder.glob("wandb/offline-run-*/run-*.wandb")]
    assert {run["group"] for run in runs} == {"planted"} and len(runs) == 3 + 1
    assert sorted(len(run["history"]) for run in runs) == [1, 8, 8, 8]
    assert any("NOT THE SAME TRAINING" in str(run["summary"].get("summary")) for run in runs)
    assert "wandb sync" in outcome.output and "W&B stopped" not in outcome.output


def test_tensorboard_has_a_folder_a_case_and_one_with_the_table_and_the_plots(outcome: Outcome) -> None:
    found = {path.name: EventAccumulator(str(path)).Reload() for path in (outcome.folder / "tensorboard").iterdir()}
    labels = {"ddp-2x-b16", "wrong-bf16-2x-b16", "slow-2x-b16"}
    assert found.keys() == labels | {"planted-summary"}
    losses = outcome.row("ddp")["figures"]["losses"]
    assert [event.value for event in found["ddp-2x-b16"].Scalars("loss")] == pytest.approx(losses)
    tags = found["planted-summary"].Tags()
    assert "comparison/text_summary" in tags["tensors"] and len(tags["images"]) >= 2


def test_the_report_is_drawn_again_without_running(outcome: Outcome) -> None:
    before, page = outcome.results(), outcome.folder / "report.html"
    page.unlink()
    page.mkdir()  # as in a folder that cannot be written, which root always can
    refused = report_again(outcome.folder)
    assert refused.returncode == 2 and before["summary"][:40] in refused.stdout
    assert refused.stderr.startswith(f"error: --from: {outcome.folder}: ") and refused.stderr.count("\n") == 1
    page.rmdir()
    assert report_again(outcome.folder).returncode == 1 and page.exists()
    assert outcome.results()["rows"] == before["rows"] and outcome.results()["summary"] == before["summary"]


def test_a_column_from_outside_is_in_every_table(outcome: Outcome) -> None:
    shown = report_again(outcome.folder, "planted,toy_column").stdout
    slowest = max(outcome.row("slow")["figures"]["timings"]["step_seconds"][0])
    heading, cell = "slowest step", f"{slowest:.6f}"
    page, text = (outcome.folder / "report.html").read_text(), (outcome.folder / "report.md").read_text()
    assert f' data-name="{heading}" class="right">{cell}</td>' in page
    assert f" {heading} |" in text and f" {cell} |" in text
    assert any(line.endswith(heading) for line in map(str.rstrip, shown.splitlines()))
    assert any(line.endswith(cell) for line in map(str.rstrip, shown.splitlines()))


def test_a_damaged_record_counts_as_none(outcome: Outcome) -> None:
    settings = ["--config", str(outcome.folder / SETTINGS), "--dir", str(outcome.folder)]
    # The others are a plugin's, which is not loaded here.
    comparison = load_comparison([*settings, "--strategies", "ddp"])
    run = Run(Case("ddp", None, 2, 16, 16, None), 1)
    folder = outcome.folder / "runs" / run.name
    for name, damaged in (("summary.json", "{"), ("exit.json", "{}"), ("exit.json", "[]")):
        text = (folder / name).read_text()
        (folder / name).write_text(damaged)
        assert read_run(comparison, run) is None
        (folder / name).write_text(text)
    text = (folder / "summary.json").read_text()
    (folder / "summary.json").write_text("{}")
    done = report_again(outcome.folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {folder}/summary.json: no ") and "it was changed, or is of " in done.stderr
    (folder / "summary.json").write_text(text)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text("train: [")
    assert changed_setting(comparison, run) == "its settings cannot be read"
    values = yaml.safe_load(text)
    (folder / "config.yaml").write_text(yaml.safe_dump({**values, "optim": {**values["optim"], "lr": 5.0}}))
    assert str(changed_setting(comparison, run)).startswith("optim.lr was 5.0 and is ")
    (folder / "config.yaml").write_text(text)
    assert read_run(comparison, run) is not None and changed_setting(comparison, run) is None


@pytest.mark.parametrize("name", ["comparison.yaml", "report.md", ".lock"])
def test_a_folder_of_the_users_is_left_alone(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one with settings that a comparison could be started with."""
    own = tmp_path / "own"
    own.mkdir()
    (own / name).write_text("compare: {steps: 2}  # mine\n")
    for flags in (["--dir", str(own), "--net.name", "alexnet_small"], ["--from", str(own)]):
        assert main(["compare", *flags]) == 2
        assert f"{flags[0]}: {own}: " in capsys.readouterr().err
    assert [path.name for path in own.iterdir()] == [name]
    assert (own / name).read_text() == "compare: {steps: 2}  # mine\n"


def test_other_settings_do_not_mix_with_what_is_there(outcome: Outcome) -> None:
    before = (outcome.folder / "comparison.yaml").read_text()
    done = preloaded.run(command(*FLAGS, "--dir", str(outcome.folder), "--run.seed", "1")[1:], VARIABLES)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "run.seed was 0 and is 1 now" in done.stderr and "--overwrite true" in done.stderr
    assert (outcome.folder / "comparison.yaml").read_text() == before
