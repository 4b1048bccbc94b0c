"""A job that is interrupted, in every way that a cluster has, is requeued and ends as if it had not been."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import SMOKE
from long_forms import LONG_FORM
from run_records import metrics_of
from slurm_bed import Bed
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("fashion_mnist")
STEPS = 600
FLAGS = [
    *SMOKE, "--train.max_steps", str(STEPS), "--train.evaluate", "false", "--tracking.wandb", "false",
    "--checkpoint.every_steps", "20",
]  # fmt: skip


def is_training(log: Path, start: int) -> bool:
    """Whether start number `start` of a job has reached its first steps."""
    parts = log.read_text().split("run directory:") if log.exists() else []
    return len(parts) == start + 2 and "\nstep " in parts[-1]


def preempt(bed: Bed, job: str) -> None:
    """A job of the partition `high` preempts it."""
    done = bed.run("srun", "--partition=high", "--nodes=2", "--cpus-per-task=16", "true")
    assert done.returncode == 0, done.stdout


def reach_the_time_limit(bed: Bed, job: str) -> None:
    """USR1 comes 90 seconds before the time limit: at once if less is left."""
    ran = bed.run("squeue", "--noheader", "--job", job, "--format", "%M").stdout.strip()
    minutes = int(ran.split(":")[0]) + 1
    bed.run("scontrol", "update", f"jobid={job}", f"timelimit={minutes}")
    wait_until(lambda: bed.job(job)["JobState"] != "RUNNING")
    bed.run("scontrol", "update", f"jobid={job}", "timelimit=60")


def requeue(bed: Bed, job: str) -> None:
    bed.run("scontrol", "requeue", job)


def cut_a_node(bed: Bed, job: str) -> None:
    bed.cut("n2")
    wait_until(lambda: bed.job(job)["JobState"] != "RUNNING")
    bed.boot("n2")


@pytest.fixture
def restore_link(bed: Bed) -> Callable[[], None]:
    """Steps take a fifth of a second, most of it on the wire, so that a job is caught while it trains."""
    qdisc = ("dev", "eth0", "root", "tbf", "rate", "8mbit", "burst", "32kb", "latency", "400ms")
    bed.on("n1", "tc", "qdisc", "add", *qdisc)
    return lambda: bed.on("n1", "tc", "qdisc", "del", "dev", "eth0", "root")


@LONG_FORM
def test_a_job_that_is_cut_short(bed: Bed, tmp_path: Path, restore_link: Callable[[], None]) -> None:
    folder, log = tmp_path / "disturbed", tmp_path / "log"
    job = bed.submit(
        log, "--signal=B:USR1@90", "slurm/train.sbatch", *FLAGS,
        environment={"RUN_DIR": folder, "RANKS_PER_NODE": 1},
    )  # fmt: skip
    for start, cut_short in enumerate((preempt, reach_the_time_limit, requeue, cut_a_node)):
        wait_until(partial(is_training, log, start))
        cut_short(bed, job)
        wait_until(lambda: bed.job(job)["JobState"] != "RUNNING")
    restore_link()
    assert bed.wait(job) == "COMPLETED", log.read_text()
    assert int(bed.job(job)["Restarts"]) >= 4  # once more where Slurm chose the dead node again
    alone = tmp_path / "undisturbed"
    done = bed.run("srun", "--nodes=2", sys.executable, "launch/train.py", *FLAGS, "--run.dir", alone)
    assert done.returncode == 0, done.stdout
    disturbed, undisturbed = metrics_of(folder), metrics_of(alone)
    assert [line["step"] for line in disturbed] == list(range(1, STEPS + 1))
    assert [line["loss"] for line in disturbed] == [line["loss"] for line in undisturbed]
