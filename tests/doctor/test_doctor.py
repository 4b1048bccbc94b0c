"""The doctor on real ranks, and its judgement of ranks that this machine cannot have."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import preloaded
import pytest

from alexnet_dist.distributed.descriptors import descriptors_needed
from alexnet_dist.doctor.checks import world_problems
from alexnet_dist.doctor.facts import RankFacts
from alexnet_dist.doctor.links import links
from alexnet_dist.doctor.rates import slow_ranks
from alexnet_dist.launcher.launch_line import free_port


def start(*flags: str, prefix: Sequence[str] = (), **environment: Any) -> subprocess.Popen[str]:
    settings = os.environ | {name: str(value) for name, value in environment.items()}
    line = [*prefix, sys.executable, "-m", "alexnet_dist.cli", "doctor", *flags]
    return subprocess.Popen(line, env=settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finished(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    output, _ = process.communicate(timeout=180)
    assert "Traceback" not in output, output
    return process.returncode, output.splitlines()


def doctor(*flags: str, ranks: int = 1, **environment: str) -> tuple[int, list[str]]:
    """The exit code, and what ranks print that a launcher has started."""
    done = preloaded.command("doctor", *flags, ranks=ranks, **environment)
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    return done.returncode, output.splitlines()


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("error: ")]


@pytest.fixture(scope="module", autouse=True)
def lost() -> tuple[int, subprocess.Popen[str]]:
    """A rank 1 without a rank 0, and the port where it waits; it gives up after 25 seconds, while others run."""
    port = free_port()
    world: dict[str, Any] = {
        "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": 2,
    }  # fmt: skip
    return port, start(RANK=1, LOCAL_RANK=1, **world)


def test_two_ranks_are_shown_with_the_speed_of_their_links(tmp_path: Path) -> None:
    file = tmp_path / "links.json"
    flags = ["--output", str(file), "--data.name", "synthetic", "--run.dir", str(tmp_path / "run")]
    code, lines = finished(start("--ranks", "2", *flags))
    assert code == 0 and lines[-1] == "ready: 2 ranks on one machine"
    # Other tests may slow one of the ranks, which is a longer line.
    assert max(len(line) for line in lines if not line.startswith("warning: ")) <= 100
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert [row[:3] for row in rows[:2]] == [[str(rank), socket.gethostname(), rows[0][2]] for rank in (0, 1)]
    assert [row[:3] for row in rows[2:]] == [
        ["all-reduce", "within a node", "2"],
        ["pair exchange", "within a node", "2"],
    ]
    assert all(float(figure) > 0 for row in rows[2:] for figure in row[3:])
    assert all(float(row[-1]) > 0 for row in rows[:2])
    assert list(tmp_path.iterdir()) == [file]
    measured = json.loads(file.read_text())
    written = measured["links"]
    assert [f"{rate / 1e9:.0f}" for rate in measured["operations_per_second"]] == [row[-1] for row in rows[:2]]
    assert [f"{link['bandwidth'] / 1e9:.2f}" for link in written] == [row[4] for row in rows[2:]]


def test_one_rank_has_no_links_and_writes_so(tmp_path: Path) -> None:
    flags = ["--output", str(tmp_path / "links.json"), "--data.name", "synthetic"]
    assert doctor(*flags)[0] == 0
    assert json.loads((tmp_path / "links.json").read_text())["links"] == []
    code, lines = doctor(*flags)
    assert code == 2 and lines[-1].endswith("links.json: exists already: choose another name")


def test_every_problem_is_one_line() -> None:
    flags = ["--ranks", "2", "--run.dir", "/proc/run", "--data.root", "/proc/nowhere"]
    code, lines = finished(start(*flags, prefix=["prlimit", f"--nofile={descriptors_needed(2) - 1}"]))
    files, folder, data = errors(lines)
    assert code == 2
    assert files.startswith(f"error: ulimit -H -n: {descriptors_needed(2) - 1}: 2 ranks need {descriptors_needed(2)}")
    assert folder.startswith("error: run.dir: /proc/run: cannot be written")
    assert data.startswith("error: data.root: /proc/nowhere: no Fashion-MNIST there: run alexnet-dist data fetch")


def test_ranks_that_are_there_twice_or_not_at_all() -> None:
    """Two machines that are both set up as the first: the second rank 0 would start a run of its own."""
    world: dict[str, Any] = {
        "WORLD_SIZE": 3, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "LOCAL_WORLD_SIZE": 3,
    }  # fmt: skip
    ranks = [start("--train.global_batch", "3", RANK=rank, LOCAL_RANK=0, **world) for rank in (0, 1, 1)]
    code, lines = finished(ranks[0])
    assert code == 2 and len(errors(lines)) == 1
    assert errors(lines)[0].startswith("error: RANK: 1 is there 2 times, on")
    assert [finished(rank)[0] for rank in ranks[1:]] == [2, 2]


@pytest.mark.parametrize(
    "ranks, flags, problem",
    [
        (3, ["--strategy.name", "split", "--train.global_batch", "9"], "strategy.name: split: pairs ranks, 3 cannot"),
        (1, ["--train.precision", "fp16"], "train.precision: fp16: on a CPU Accelerate silently trains in fp32"),
        (
            2,
            ["--train.global_batch", "33"],
            "train.global_batch: 33: does not divide into 2 replicas x 1 micro-batch",
        ),
    ],
)
def test_what_training_would_refuse_is_refused_before(ranks: int, flags: list[str], problem: str) -> None:
    code, lines = doctor("--data.name", "synthetic", *flags, ranks=ranks)
    assert code == 2 and errors(lines) == [lines[-1]] and lines[-1].startswith(f"error: {problem}")


def test_folders_and_data_are_looked_at_as_training_does(tmp_path: Path) -> None:
    """Data that training would fetch is no error; a folder that holds something else is one."""
    (tmp_path / "mine").write_text("")
    (tmp_path / "home").mkdir()
    flags = ["--run.dir", str(tmp_path)]
    code, lines = doctor(*flags, HOME=str(tmp_path / "home"))
    assert code == 2 and errors(lines) == [
        f"error: run.dir: {tmp_path}: is no run directory (it holds home, mine): choose another"
    ]
    fetched = [line for line in lines if "Fashion-MNIST is not there yet: training fetches it into" in line]
    assert len(fetched) == 1 or Path("/usr/share/datasets/fashion-mnist").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "mine"]


LARGE = ["--net.name", "alexnet_2012", "--data.name", "synthetic", "--train.precision", "fp16"]
LARGE += ["--strategy.name", "split"]


def test_an_experiment_for_ranks_that_are_elsewhere() -> None:
    code, lines = doctor("--for-ranks", "32", *LARGE, "--train.global_batch", "1024")
    shown = {line[:10].strip(): line[11:] for line in lines}
    assert code == 0 and max(map(len, lines)) <= 120 and lines[-1].startswith("possible on 32 ranks; not checked: ")
    assert shown["mesh"] == "dp 16 x split 2, under split"
    assert shown["batch"] == "1024 = 16 replicas x 1 micro-batch x 64 samples"
    assert shown["devices"] == "assumed: GPUs that have fp16, one a rank"
    assert shown["MB a rank"].startswith(
        "weights 121.9, gradients 121.9, optimizer 243.9, images and activations of 64"
    )


def test_every_reason_why_ranks_elsewhere_could_not_train_it() -> None:
    flags = ["--for-ranks", "3", *LARGE, "--train.global_batch", "100", "--train.accumulate", "3"]
    code, lines = doctor(*flags, ACCELERATE_USE_CPU="true")
    assert code == 2 and [line.split(":")[1] for line in lines] == [
        " strategy.name", " train.global_batch", " train.precision",
    ]  # fmt: skip
    code, lines = doctor("--for-ranks", "1", "--strategy.name", "split")
    assert code == 2 and lines == [
        "error: strategy.name: split: pairs ranks, 1 cannot be paired: launch an even number"
    ]


def test_a_slip_in_a_training_flag_is_found() -> None:
    code, lines = doctor("--train.epocs", "2")
    assert code == 2 and len(lines) == 1 and "train.epocs" in lines[0]


def gpu_rank(rank: int, host: str, local_rank: int) -> RankFacts:
    """A rank of two machines with two GPUs each."""
    versions = {"torch": "2.14.1", "cuda": "12.8"}
    return RankFacts(
        rank, 4, local_rank, 2, host, "cuda", "A100", f"{host}-gpu{local_rank}", ["0", "1"], "nccl", "ib0", versions
    )


FOUR = [gpu_rank(0, "a", 0), gpu_rank(1, "a", 1), gpu_rank(2, "b", 0), gpu_rank(3, "b", 1)]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({}, []),
        ({"device_id": "b-gpu0"}, ["GPUs: ranks 2, 3 share one"]),
        ({"versions": {"torch": "2.13.0", "cuda": "12.8"}}, ["torch: 2.14.1 (rank 2 on b), 2.13.0 (rank 3 on b)"]),
        ({"backend": "gloo"}, ["devices: nccl (rank 2 on b), gloo (rank 3 on b)"]),
        ({"rank": 0}, ["RANK: 0 is there 2 times, on a, b"]),
    ],
)
def test_what_shows_only_when_ranks_are_seen_together(changed: dict[str, Any], words: list[str]) -> None:
    ranks = [*FOUR[:3], replace(FOUR[3], **changed)]
    found = [str(problem) for problem in world_problems(ranks)]
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))


def test_links_of_two_nodes_with_two_ranks() -> None:
    assert [(link.what, link.where, [list(group) for group in link.groups]) for link in links(FOUR)] == [
        ("all-reduce", "within a node", [[0, 1], [2, 3]]),
        ("all-reduce", "between nodes", [[0, 2]]),
        ("all-reduce", "all ranks", [[0, 1, 2, 3]]),
        ("pair exchange", "within a node", [[0, 1], [2, 3]]),
        ("pair exchange", "between nodes", [[0, 2]]),
    ]


def test_a_rendezvous_that_nobody_keeps(lost: tuple[int, subprocess.Popen[str]]) -> None:
    port, rank = lost
    code, lines = finished(rank)
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith(f"error: MASTER_ADDR: 127.0.0.1:{port}: rank 0 was not reached from")


def test_a_device_that_is_slower_than_the_others_is_named() -> None:
    ranks = [gpu_rank(rank, f"n{rank // 2}", rank % 2) for rank in range(4)]
    (line,) = slow_ranks(ranks, [100.0, 98.0, 60.0, 101.0])
    assert line.startswith("rank 2 on n1 multiplies at 0.61 of the median rank's rate")
    assert slow_ranks(ranks, [100.0, 98.0, 90.0, 101.0]) == []
