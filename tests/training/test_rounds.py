"""Four ranks, one of them slow: it is named, checkpoints follow the clock, and a signal to another rank stops all."""

import re
import signal
import socket
import sys
from pathlib import Path

from conftest import ROOT, SMOKE
from launched import checkpoint, start_line
from run_records import metrics_of
from wandb_file import offline_run

from alexnet_dist.training.checkpoints import files

FLAGS = [
    *SMOKE, "--data.name", "synthetic", "--strategy.name", "ddp", "--train.max_steps", "100000", "--train.epochs",
    "100000", "--train.evaluate", "false", "--optim.schedule", "toy_slow", "--checkpoint.every_steps", "0",
    "--checkpoint.every_seconds", "2",
]  # fmt: skip


def test_four_ranks_of_which_one_is_slow(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "4", "--", *FLAGS, "--run.dir", "run"]
    plugins = {"ALEXNET_DIST_PLUGINS": "toy_slow", "PYTHONPATH": str(ROOT / "tests/plugins")}
    run = start_line(line, tmp_path / "run", plugins)
    saved = run.folder / files.FOLDER
    run.wait_until(lambda: "warning: rank 3 on" in run.output.read_text() and len(files.list_checkpoints(saved)) == 2)
    run.ranks()[2].send_signal(signal.SIGTERM)
    code, lines = run.end()
    assert code == 75, "\n".join(lines)
    (told,) = [line for line in lines if line.startswith("warning: rank 3 on")]
    factor = re.fullmatch(rf"warning: rank 3 on {re.escape(socket.gethostname())} computes (\d+\.\d) times .*", told)
    assert factor is not None and float(factor[1]) > 1.2
    done = run.steps()
    assert lines[-1].startswith(f"stopped: asked to stop after step {done}, which is saved")
    assert files.verify(checkpoint(run.folder, done)).step == done
    steps = metrics_of(run.folder)
    assert [step["step"] for step in steps] == list(range(1, done + 1)) and {step["ranks"] for step in steps} == {4}
    slow = [step for step in steps if step["slowest_rank"] == 3]
    assert len(slow) > done / 2
    assert all(step["own_slowest"] > 0.1 for step in slow)
    rows = [row for row in offline_run(run.folder)["history"] if "loss" in row]
    assert sum(row["slowest_rank"] == 3 for row in rows) > len(rows) / 2
    assert all(row["own_slowest"] >= row["own_median"] >= row["own_fastest"] > 0 for row in rows)
