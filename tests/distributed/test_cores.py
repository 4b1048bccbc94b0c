"""The cores that a process may use, and the threads that a rank computes with."""

import os
from pathlib import Path

import preloaded
import pytest
from long_forms import LONG_FORM

from alexnet_dist.distributed.cores import available_cores, bound_spinning, threads_of_rank
from alexnet_dist.errors import UsageError

PROGRAM = str(Path(__file__).with_name("thread_counts.py"))
ACCELERATE = ["accelerate.commands.launch", "--num_processes", "1"]
LAUNCH = ["alexnet_dist.cli", "launch", "--ranks", "1", "--program", "--"]
CORES = available_cores()


def root(folder: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A file system that has control groups: lines of /proc/self/cgroup and /proc/self/mountinfo, and limits."""
    limits = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **limits}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
V1 = "33 31 0:30 {mounted} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.mark.parametrize(
    "groups, mounts, files",
    [
        ("0::/job\n", V2, {"job/cpu.max": "50000 100000\n"}),
        ("0::/job/step\n", V2, {"job/cpu.max": "100000 100000\n", "job/step/cpu.max": "max 100000\n"}),
        ("0::/\n", V2, {"cpu.max": "100 100000\n"}),
        (
            "4:cpu,cpuacct:/docker/a\n0::/\n",
            V1.format(mounted="/docker/a"),  # as a container sees it: its own part of the tree
            {"cpu,cpuacct/cpu.cfs_quota_us": "80000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        ),
        (
            "4:cpu,cpuacct:/job\n",
            V1.format(mounted="/"),
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "80000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"},
        ),
    ],
)
def test_a_quota_counts_as_so_many_cores(groups: str, mounts: str, files: dict[str, str], tmp_path: Path) -> None:
    assert available_cores(root(tmp_path, groups, mounts, files)) == 1


@pytest.mark.parametrize(
    "groups, files",
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}),
        ("0::/\n", {"cpu.max": "nonsense\n"}),
        ("nonsense\n", {}),
        ("0::/\n", {"cpu.max": "900000000 100000\n"}),
    ],
)
def test_without_a_quota_all_cores_count(groups: str, files: dict[str, str], tmp_path: Path) -> None:
    assert available_cores(root(tmp_path, groups, V2, files)) == CORES == available_cores(tmp_path / "nowhere")


def test_a_quota_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert available_cores(root(tmp_path, "0::/\n", V2, {"cpu.max": "250000 100000\n"})) == 3


WORLD = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "2000"}
SHARE = max(1, CORES // 2)
RECORDED = "ALEXNET_DIST_OMP_NUM_THREADS"


@pytest.mark.parametrize(
    "environment, threads",
    [
        ({}, CORES),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "7,2"}, 7),
        (WORLD, SHARE),
        (WORLD | {"OMP_NUM_THREADS": "1"}, SHARE),  # as a launcher sets it
        (WORLD | {"OMP_NUM_THREADS": "1", RECORDED: ""}, SHARE),
        (WORLD | {"OMP_NUM_THREADS": "1", RECORDED: "1"}, 1),
        (WORLD | {"OMP_NUM_THREADS": "3"}, 3),
        ({"ACCELERATE_MIXED_PRECISION": "no", "OMP_NUM_THREADS": "1"}, CORES),
    ],
)
def test_the_users_number_of_threads_holds(environment: dict[str, str], threads: int) -> None:
    assert threads_of_rank(environment) == threads


def test_a_number_of_threads_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="OMP_NUM_THREADS: many: must be a number of threads from 1 to 65536"):
        threads_of_rank({"OMP_NUM_THREADS": "many"})


@pytest.mark.parametrize(
    "launcher, given, threads",
    [(ACCELERATE, "1", CORES), (LAUNCH, "1", 1), pytest.param(LAUNCH, "", CORES, marks=LONG_FORM)],
)
def test_threads_of_a_rank_under_launchers(
    launcher: list[str], given: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    done = preloaded.run(["-m", *launcher, PROGRAM])
    assert done.stdout.split() == ["1", str(threads)]  # of another thread, and of the training thread


def test_idle_threads_sleep_soon_unless_the_user_says_otherwise() -> None:
    unset: dict[str, str] = {}
    bound_spinning(unset)
    assert int(unset["GOMP_SPINCOUNT"]) < 300_000
    for own in ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}):
        environment = dict(own)
        bound_spinning(environment)
        assert environment == own
