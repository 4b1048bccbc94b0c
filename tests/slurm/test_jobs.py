"""Jobs on the two-node bed: real training of alexnet_small on Fashion-MNIST."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SMOKE
from long_forms import LONG_FORM
from run_records import metrics_of, summary_of
from slurm_bed import ROOT, Bed
from wandb_file import offline_run

pytestmark = pytest.mark.usefixtures("fashion_mnist")
SIX = [*SMOKE, "--train.max_steps", "6", "--train.evaluate_samples", "100"]
QUIET = ["--tracking.wandb", "false"]
PYTHON_TRAIN = (sys.executable, "launch/train.py")


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics_of(folder)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, bed: Bed) -> list[float]:
    """Losses of the same training in one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    done = bed.run(*PYTHON_TRAIN, *SIX, *QUIET, "--run.dir", folder)
    assert done.returncode == 0, done.stdout
    return losses(folder)


@pytest.fixture
def debian_hosts(bed: Bed, tmp_path: Path) -> Iterator[None]:
    """A hosts file as Debian's installer writes it: the node's own name means 127.0.1.1."""
    for node in ("n1", "n2"):
        other = "10.77.0.2 n2" if node == "n1" else "10.77.0.1 n1"
        hosts = tmp_path / f"hosts-{node}"
        hosts.write_text(f"127.0.0.1 localhost\n127.0.1.1 {node}\n10.77.0.254 ctl\n{other}\n")
        bed.on(node, "mount", "--bind", hosts, "/etc/hosts")
    yield
    for node in ("n1", "n2"):
        bed.on(node, "umount", "/etc/hosts")


def trained(bed: Bed, folder: Path, strategy: str) -> Path:
    """The run of a job that has all of both nodes, two ranks each."""
    flags = [*SIX, *QUIET, "--strategy.name", strategy]
    job = bed.submit(folder / "log", "slurm/train.sbatch", *flags, environment={"RUN_DIR": folder / "run"})
    assert bed.wait(job) == "COMPLETED", (folder / "log").read_text()
    assert summary_of(folder / "run")["hosts"] == ["n1", "n1", "n2", "n2"]
    return folder / "run"


@pytest.mark.usefixtures("debian_hosts")
def test_two_nodes_with_two_ranks_are_two_pairs_also_where_hosts_files_mislead(
    bed: Bed, tmp_path: Path, alone: list[float]
) -> None:
    run = trained(bed, tmp_path, "split")
    assert "│ pair exchange │ between nodes │" in (tmp_path / "log").read_text()
    assert summary_of(run)["mesh"] == {"dp": 2, "split": 2}
    assert losses(run) == pytest.approx(alone, rel=1e-4)


@LONG_FORM
@pytest.mark.parametrize("strategy", ["ddp", "zero1", "zero2", "zero3", "fsdp"])
def test_other_strategies_on_two_nodes(strategy: str, bed: Bed, tmp_path: Path, alone: list[float]) -> None:
    run = trained(bed, tmp_path, strategy)
    assert summary_of(run)["mesh"] == {"dp": 4, "split": 1}
    assert losses(run) == pytest.approx(alone, rel=1e-4)


def test_srun_without_a_launcher_is_one_run(bed: Bed, tmp_path: Path, alone: list[float]) -> None:
    tasks = ["srun", "--nodes=2", "--ntasks-per-node=2"]
    done = bed.run(*tasks, *PYTHON_TRAIN, *SIX, *QUIET, "--run.dir", tmp_path / "run")
    assert done.returncode == 0, done.stdout
    assert summary_of(tmp_path / "run")["hosts"] == ["n1", "n1", "n2", "n2"]
    assert losses(tmp_path / "run") == pytest.approx(alone, rel=1e-4)


@LONG_FORM
def test_torchrun_on_each_node_is_one_run(bed: Bed, tmp_path: Path, alone: list[float]) -> None:
    """As in docs/slurm.md."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2", "--rdzv-id=1"]
    torchrun += ["--rdzv-backend=c10d", "--rdzv-endpoint=n1:23458"]
    flags = [*SIX, *QUIET, "--strategy.name", "split", "--run.dir", tmp_path / "run"]
    done = bed.run("srun", "--nodes=2", "--kill-on-bad-exit=1", *torchrun, "launch/train.py", *flags)
    assert done.returncode == 0, done.stdout
    assert summary_of(tmp_path / "run")["mesh"] == {"dp": 2, "split": 2}
    assert losses(tmp_path / "run") == pytest.approx(alone, rel=1e-4)


def test_launchers_that_do_not_count_each_other_are_refused(bed: Bed, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/plain.yaml"]
    done = bed.run("srun", "--nodes=2", *launcher, "launch/train.py", *SIX, "--run.dir", tmp_path / "run")
    assert done.returncode != 0 and not (tmp_path / "run/metrics.jsonl").exists()
    assert "error: srun: 2 tasks, each with a launcher that counts 1: --num_machines must be" in done.stdout


def test_a_sweep_is_an_array_of_runs_in_one_group(bed: Bed, tmp_path: Path) -> None:
    configs = []
    for rate in ("1e-2", "3e-3"):
        configs.append(tmp_path / f"lr-{rate}.yaml")
        configs[-1].write_text(f"net: {{name: alexnet_small}}\noptim: {{lr: {rate}}}\ntrain: {{global_batch: 64}}\n")
    flags = ["--train.max_steps", "2", "--train.evaluate", "false"]
    job = bed.submit(
        tmp_path / "log-%a", "--array=0-1", "--cpus-per-task=2", "--gpus-per-node=1", "slurm/sweep.sbatch", *configs,
        "--", *flags, environment={"RUNS": tmp_path},
    )  # fmt: skip
    assert [bed.wait(f"{job}_{task}") for task in range(2)] == ["COMPLETED"] * 2
    folders = sorted(tmp_path.glob("sweep-*/*"))
    assert [folder.name for folder in folders] == [f"{task}-{path.stem}" for task, path in enumerate(configs)]
    logged = [offline_run(folder) for folder in folders]
    assert {run["group"] for run in logged} == {f"sweep-{job}"}
    assert [run["config"]["optim"]["lr"] for run in logged] == [1e-2, 3e-3]


def test_a_comparison_runs_outside_the_container_and_its_ranks_inside(bed: Bed, tmp_path: Path) -> None:
    flags = [*SMOKE, "--ranks", "1", "--strategies", "single", "--rounds", "1", "--control-rounds", "0", "--steps", "2"]
    flags += ["--seconds", "0", "--warm-up", "2", "--peak", "false", "--global-batches", "16", *QUIET]
    container = ROOT / "tests/slurm/container.sh"
    environment = {"RUN_DIR": tmp_path / "compared", "CONTAINER": container, "RANKS_PER_NODE": 1}
    job = bed.submit(tmp_path / "log", "--nodes=1", "slurm/compare.sbatch", *flags, environment=environment)
    assert bed.wait(job) == "COMPLETED", (tmp_path / "log").read_text()
    assert "every judged case is the same training (1 of 1)" in (tmp_path / "log").read_text()


def test_one_of_several_tasks_that_were_allocated_warns(bed: Bed, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    line = shlex.join([*PYTHON_TRAIN, *SIX, *QUIET, "--train.max_steps", "1", "--run.dir", str(tmp_path / "run")])
    script.write_text(f"#!/usr/bin/env bash\n{line}\n")
    job = bed.submit(tmp_path / "log", "--ntasks=4", script)
    assert bed.wait(job) == "COMPLETED", (tmp_path / "log").read_text()
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("warning: SLURM")]
    assert warnings == [
        "warning: SLURM_NTASKS: 4 tasks allocated, one started: put srun in front to start them all, or submit "
        "slurm/train.sbatch"
    ]


@LONG_FORM
def test_a_comparison_inside_one_job_is_reported_as_on_one_machine(bed: Bed, tmp_path: Path) -> None:
    flags = ["--config", "configs/compare/smoke.yaml", "--ranks", "2,4", "--strategies", "ddp", "--rounds", "1"]
    flags += ["--control-rounds", "0", "--steps", "2", "--seconds", "0", "--warm-up", "2", "--peak", "false"]
    flags += ["--global-batches", "16"]
    job = bed.submit(tmp_path / "log", "slurm/compare.sbatch", *flags, environment={"RUN_DIR": tmp_path / "compared"})
    assert bed.wait(job) == "COMPLETED", (tmp_path / "log").read_text()
    assert "│ pair exchange │ between nodes │" in (tmp_path / "log").read_text()
    assert "| pair exchange | between nodes | 2 |" in (tmp_path / "compared/report.md").read_text()
    hosts = {tuple(json.loads(path.read_text())["hosts"]) for path in (tmp_path / "compared").rglob("summary.json")}
    assert hosts == {("n1", "n1"), ("n1", "n1", "n2", "n2")}
