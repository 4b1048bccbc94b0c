"""Jobs that cannot run: each ends with one line, exit code 2 and no second start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SMOKE
from slurm_bed import ROOT, Bed

LISTENER = ROOT / "tests/slurm/listener.py"
SMALL = ["--cpus-per-task=2", "slurm/train.sbatch", *SMOKE]


def refused(bed: Bed, log: Path, *words: object, environment: dict[str, object] | None = None) -> list[str]:
    """The error lines of a job that ends with exit code 2."""
    job = bed.submit(log, *words, environment=environment)
    assert bed.wait(job) == "FAILED"
    of_job = bed.job(job)
    assert (of_job["ExitCode"], of_job["Restarts"]) == ("2:0", "0"), log.read_text()
    errors = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert errors and "Traceback" not in log.read_text(), log.read_text()
    return errors


@pytest.fixture
def taken_port(bed: Bed) -> Iterator[int]:
    """A port of the first node on which another program listens."""
    port = 23456
    with subprocess.Popen(bed.line("on", "n1", sys.executable, LISTENER, port), stdout=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stdout.readline()
        yield port
        bed.on("n1", "pkill", "-f", LISTENER.name)


def test_a_taken_port(bed: Bed, tmp_path: Path, taken_port: int) -> None:
    (error,) = refused(bed, tmp_path / "log", *SMALL, environment={"MASTER_PORT": taken_port})
    assert error.startswith(f"error: MASTER_PORT: {taken_port}: taken on n1 by another program")


def test_more_ranks_than_gpus(bed: Bed, tmp_path: Path) -> None:
    wanted = {"ACCELERATE_USE_CPU": "false", "RANKS_PER_NODE": 3}
    (error,) = refused(bed, tmp_path / "log", "--nodes=1", *SMALL, "--train.global_batch", 66, environment=wanted)
    assert error.startswith("error: GPUs: 3 ranks and 2 visible: one rank a GPU: ask for more (--gpus-per-node")


def test_gpus_that_torch_cannot_use(bed: Bed, tmp_path: Path) -> None:
    (error,) = refused(bed, tmp_path / "log", "--nodes=1", *SMALL, environment={"ACCELERATE_USE_CPU": "false"})
    assert error.startswith("error: GPUs: 2 visible: torch") and "ACCELERATE_USE_CPU=true" in error


def test_more_gpus_than_a_node_has(bed: Bed) -> None:
    done = bed.run("sbatch", "--gpus-per-node=3", "slurm/train.sbatch")
    assert done.returncode != 0 and "Requested node configuration is not available" in done.stdout


@pytest.fixture
def data(fashion_mnist: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with the images, which a node can mount over."""
    folder = tmp_path / "data"
    folder.mkdir()
    for path in fashion_mnist.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_a_node_without_the_data_and_with_a_full_disk(bed: Bed, tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for folder in (data, run):
        bed.on("n2", "mount", "-t", "tmpfs", "-o", "size=1m", "none", folder)
    try:
        errors = refused(bed, tmp_path / "log", *SMALL, "--data.root", data, environment={"RUN_DIR": run})
    finally:
        for folder in (data, run):
            bed.on("n2", "umount", folder)
    assert len(errors) == 2 and all(error.endswith(" (on n2)") for error in errors)
    assert "the disk is nearly full: 0.00 GB free" in errors[0]
    assert "no Fashion-MNIST there: run alexnet-dist data fetch" in errors[1]


def test_an_array_with_more_tasks_than_settings_files(bed: Bed, tmp_path: Path) -> None:
    job = bed.submit(tmp_path / "log", "--array=1", "slurm/sweep.sbatch", "configs/smoke.yaml")
    assert bed.wait(job) == "FAILED"
    assert (tmp_path / "log").read_text().endswith("there are 1 settings files: --array=0-N, N one less\n")
