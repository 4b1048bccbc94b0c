"""`alexnet-dist launch`: its flags, its printed line, and its exit code for how ranks ended."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from alexnet_dist.errors import DONE, FAILED, INTERRUPTED, STOPPED, USAGE
from alexnet_dist.launcher.control_folder import FirstFailure, RankReport
from alexnet_dist.launcher.supervisor import Outcome, outcome_of, write_exit_reason
from alexnet_dist.telemetry.run_files import EXIT, LAUNCHER, read_json, write_exit, write_json

PROGRAM = str(Path(__file__).with_name("program.py"))
FINISHED = RankReport(DONE, "finished", lost_peer=False, time=1.0)
LOST = RankReport(FAILED, "rank 0 lost another rank", lost_peer=True, time=2.0)
CRASHED = RankReport(FAILED, "rank 1 failed", lost_peer=False, time=3.0)


LAUNCH = [sys.executable, "-m", "alexnet_dist.cli", "launch"]


def launch(*flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run([*LAUNCH, *flags], env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "flags, error",
    [
        (["--ranks", "3", "--nodes", "2", "--address", "n1", "--port", "1"], "--ranks: 3: must be a multiple of the 2"),
        (["--ranks", "2", "--nodes", "2"], "--nodes: 2: several nodes need --address and --port of node 0"),
        (["--ranks", "2", "--node-rank", "1"], "--node-rank: 1: must be from 0 to 0"),
        (["--ranks", "2", "--", "train", "--run.dir", "x"], "command line: train: leave it out: only the settings"),
        (["--ranks", "2", "--program"], "--program: empty: needs a program after --"),
        (["--ranks", "2", "--program", "--max-restarts", "1", "--", "x.py"], "--max-restarts: 1: has no effect with"),
    ],
)
def test_a_wrong_flag_is_one_line(flags: list[str], error: str) -> None:
    done = launch(*flags)
    assert done.returncode == USAGE and done.stderr.startswith(f"error: {error}") and done.stderr.count("\n") == 1


def test_the_line_for_a_node() -> None:
    nodes = ["--nodes", "2", "--node-rank", "1", "--address", "n1", "--port", "29501"]
    line = launch("--ranks", "4", *nodes, "--print-command", "--program", "--", "script.py", "--flag").stdout.split()
    assert line[:2] == ["accelerate", "launch"] and line[-2:] == ["script.py", "--flag"]
    assert " ".join(line[4:-2]) == (
        "--multi_gpu --num_processes 4 --main_process_port 29501 --num_machines 2 --machine_rank 1 "
        "--main_process_ip n1 --rdzv_backend static"
    )


@pytest.mark.parametrize(
    "deed, code, last",
    [
        ("", DONE, ""),
        ("fail", FAILED, "error: rank 1 has a reason\nrank 1 ended with code 1\n"),
        ("refuse", USAGE, "error: field: value: remedy\n"),
        ("quit", 3, "rank 1 ended with code 3\n"),
        ("realtime", FAILED, "error: rank 1 was killed by signal 35\n"),
        ("die", FAILED, "error: rank 1 was killed by SIGKILL (most often: out of memory)\n"),
    ],
)
def test_any_program_is_started_and_its_exit_code_returned(deed: str, code: int, last: str, tmp_path: Path) -> None:
    tmp_path.joinpath("left").mkdir()
    done = launch("--ranks", "2", "--program", "--", PROGRAM, str(tmp_path), deed, TMPDIR=str(tmp_path / "left"))
    assert (done.returncode, done.stderr) == (code, last)
    ranks = [json.loads(path.read_text())["RANK"] for path in sorted(tmp_path.glob("*.json"))]
    assert ranks == ["0", "1"] and not list(tmp_path.joinpath("left").iterdir())


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_signal_ends_the_ranks_of_any_program(ranks: int, tmp_path: Path) -> None:
    line = [*LAUNCH, "--ranks", str(ranks), "--program", "--", PROGRAM, str(tmp_path), "hang"]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as launcher:
        while len(started := list(tmp_path.glob("*.json"))) < ranks:
            time.sleep(0.05)
        launcher.terminate()
        assert launcher.wait() == INTERRUPTED
        assert not any(psutil.pid_exists(json.loads(path.read_text())["pid"]) for path in started)


@pytest.mark.parametrize(
    "reports, first_failure, code, reason",
    [
        ({0: FINISHED, 1: FINISHED}, None, DONE, ""),
        ({0: RankReport(USAGE, "a slip", False, 1.0)}, FirstFailure(1, -15), USAGE, "a slip"),
        ({0: RankReport(STOPPED, "saved", False, 1.0), 1: FINISHED}, None, STOPPED, "saved"),
        ({0: LOST, 1: CRASHED}, FirstFailure(0, 1), FAILED, "rank 1 failed"),
        (
            {0: LOST},
            FirstFailure(1, -9),
            FAILED,
            "rank 1 was killed by SIGKILL (most often: out of memory); rank 0 lost another rank",
        ),
        ({0: FINISHED}, FirstFailure(1, 3), FAILED, "rank 1 ended with code 3"),
        ({0: LOST}, None, FAILED, "rank 1 did not answer; rank 0 lost another rank"),
        ({0: LOST, 1: FINISHED}, None, FAILED, "rank 0 lost another rank"),
        ({0: FINISHED}, None, FAILED, "the launcher ended with code 5 before rank 1 had finished"),
    ],
)
def test_the_first_cause_is_reported(
    reports: dict[int, RankReport], first_failure: FirstFailure | None, code: int, reason: str
) -> None:
    outcome = outcome_of(reports, first_failure, range(2), 5)
    assert (outcome.code, outcome.reason) == (code, reason)


@pytest.mark.parametrize(
    "written, launcher_id, reason",
    [
        ("rank 1 failed", "ours", "rank 0 failed"),  # by a rank that failed at the same time
        ("rank 2 failed", "ours", "rank 2 failed"),  # by a rank of another machine
        (None, "ours", "rank 0 failed"),  # all were killed before they could write
        (None, "another", None),  # another run has the folder by now
    ],
)
def test_the_printed_reason_is_the_written_one(
    written: str | None, launcher_id: str, reason: str | None, tmp_path: Path
) -> None:
    write_json(tmp_path / LAUNCHER, {"program": "alexnet-dist", "host": "a", "id": launcher_id})
    if written is not None:
        write_exit(tmp_path, FAILED, written)
    reports = {rank: RankReport(FAILED, f"rank {rank} failed", False, rank) for rank in range(2)}
    write_exit_reason(Outcome(FAILED, "rank 0 failed"), tmp_path, reports, "ours")
    ended = read_json(tmp_path / EXIT)
    assert (None if ended is None else ended["reason"]) == reason
