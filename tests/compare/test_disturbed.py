"""Measurements that another program disturbs, and comparisons without a result."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from conftest import SMOKE

from alexnet_dist.compare.case_parity import CaseParity
from alexnet_dist.compare.cases import Case
from alexnet_dist.compare.rows import Figures, Row
from alexnet_dist.compare.statistics import Timings, median_estimate, throughput_estimate
from alexnet_dist.compare.tables import case_table, notes
from alexnet_dist.errors import FAILED
from alexnet_dist.telemetry.hardware import load_warnings

BUSY = Path(__file__).with_name("busy.py")


def row(efficiency: float) -> Row:
    timings = Timings(32, [[1.0] * 5] * 3)
    figures = Figures(
        timings=timings, step=median_estimate(timings.step_seconds), images_per_second=throughput_estimate(timings),
        parts={}, wire="fp32", sent_bytes=0, expected_bytes=0, constant_bytes=0, peak_memory_bytes=1, parameters=1,
        held_bytes={}, expected_held_bytes={}, mfu=None, losses=[2.0], devices=2,
    )  # fmt: skip
    parity = CaseParity(1e-7, "conv1.weight", None, True)
    return Row(Case("ddp", None, 2, 32, 32, None), parity, replace(figures, efficiency=efficiency), None)


def test_an_efficiency_that_cannot_be_is_marked() -> None:
    rows = [row(1.05), row(28.0)]
    table = case_table("speed", rows)
    column = [heading.title for heading in table.headings].index("effic.")
    assert [cells[column] for cells in table.rows] == ["105%", "2800%?"]
    (note,) = notes(rows)
    assert "an efficiency of 2800% is a disturbed measurement" in note


def test_another_program_is_noticed_before_anything_is_measured() -> None:
    with subprocess.Popen([sys.executable, str(BUSY)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        (warning,) = load_warnings()
        other.kill()
    assert warning.startswith("other programs use ") and "what is measured now will be disturbed" in warning


def test_a_comparison_without_a_result_is_no_success(tmp_path: Path) -> None:
    flags = [*SMOKE, "--strategies", "single", "--start-with", "false", "--rounds", "1", "--dir", str(tmp_path / "c")]
    line = [sys.executable, "-m", "alexnet_dist.cli", "compare", *flags, "--tracking.wandb", "false"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert "none was judged to be the same training; 1 of 1 not measured" in done.stdout
