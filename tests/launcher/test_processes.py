"""Ranks that are started, waited for and ended."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from alexnet_dist.errors import RunFailed, RunRefused, UsageError
from alexnet_dist.launcher.processes import Launcher, launch, run_without_launcher

PROGRAM, STARTER = (str(Path(__file__).with_name(name)) for name in ("program.py", "starter.py"))


def ranks(folder: Path) -> list[dict[str, str]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def alive(rank: dict[str, str]) -> bool:
    try:
        return psutil.Process(int(rank["pid"])).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_accelerate_launch_starts_the_ranks(tmp_path: Path) -> None:
    launch(2, [PROGRAM, str(tmp_path)])
    assert [(rank["RANK"], rank["WORLD_SIZE"]) for rank in ranks(tmp_path)] == [("0", "2"), ("1", "2")]


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_one_rank_is_told_which_device_is_wanted(wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", wanted)
    launch(1, [PROGRAM, str(tmp_path)])
    assert [rank["ACCELERATE_USE_CPU"].lower() for rank in ranks(tmp_path)] == [wanted]


@pytest.mark.parametrize(
    "deed, reason",
    [
        ("fail", "rank 1 has a reason"),
        ("refuse", "field: value: remedy"),
        ("crash", "ValueError: a cause"),
        ("abort", "a C++ cause"),
        ("die", "rank 1 was killed by SIGKILL (most often: out of memory)"),
        ("quit", "rank 1 ended with code 3"),
    ],
)
def test_the_reason_of_a_failure_is_the_ranks_own(deed: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as failure:
        launch(2, [PROGRAM, str(tmp_path), deed])
    assert str(failure.value) == reason
    assert isinstance(failure.value, RunRefused) == (deed == "refuse")


def test_without_a_launcher_ranks_know_each_other(tmp_path: Path) -> None:
    assert run_without_launcher(2, [PROGRAM, str(tmp_path)]) == 0
    first, second = ranks(tmp_path)
    shared = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    assert (
        [first[name] for name in shared] == [second[name] for name in shared] == ["2", "2", *list(first.values())[4:6]]
    )
    assert [(rank["RANK"], rank["LOCAL_RANK"]) for rank in (first, second)] == [("0", "0"), ("1", "1")]


@pytest.mark.parametrize("deed, code", [("fail", 1), ("die", 128 + 9)])
def test_without_a_launcher_the_largest_exit_code_counts(deed: str, code: int, tmp_path: Path) -> None:
    assert run_without_launcher(2, [PROGRAM, str(tmp_path), deed]) == code


def test_a_command_of_the_users_starts_the_ranks(tmp_path: Path) -> None:
    launcher = Launcher(f"{sys.executable} {STARTER}", log=tmp_path / "logs/log")
    assert launcher.line(3, ["program", "flag"]) == [sys.executable, STARTER, "3", "program", "flag"]
    launcher.launch(3, [PROGRAM, str(tmp_path)])
    assert len(ranks(tmp_path)) == 3 and (tmp_path / "logs/log").read_text() == "starting 3 ranks\n"
    with pytest.raises(UsageError, match="--start-with: /proc/nowhere: No such file"):
        Launcher("/proc/nowhere").launch(1, [PROGRAM])


def test_ranks_that_take_too_long_are_ended(tmp_path: Path) -> None:
    launcher = Launcher(f"{sys.executable} {STARTER}", timeout=2, log=tmp_path / "log")
    with pytest.raises(RunFailed, match="not finished after 2 s"):
        launcher.launch(2, [PROGRAM, str(tmp_path), "hang"])
    assert len(ranks(tmp_path)) == 2 and not any(alive(rank) for rank in ranks(tmp_path))


def test_ranks_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    line = [sys.executable, STARTER, "2", PROGRAM, str(tmp_path), "hang"]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as starter:
        try:
            wait_until(lambda: len(ranks(tmp_path)) == 2)
        finally:
            starter.kill()
    wait_until(lambda: not any(alive(rank) for rank in ranks(tmp_path)))
