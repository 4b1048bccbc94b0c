"""What the environment says about ranks, as users and clusters leave it: a mistake is one line, and exit code 2."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from alexnet_dist.distributed import network_interface
from alexnet_dist.errors import FAILED, USAGE, UsageError
from alexnet_dist.launcher.environment import enter_world
from alexnet_dist.launcher.launch_line import free_port
from alexnet_dist.launcher.slurm import allocation_warnings

TRAIN = [sys.executable, str(ROOT / "launch/train.py"), "--config", str(ROOT / "configs/smoke.yaml")]
WORLD = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "2000"}


def refusal(line: list[str], environment: dict[str, str]) -> str:
    """The only line that a refused program prints."""
    done = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == USAGE and done.stdout == "", done.stdout + done.stderr
    (printed,) = done.stderr.splitlines()
    return printed


@pytest.mark.parametrize(
    "environment, problem",
    [
        ({"RANK": ""}, "RANK: empty: must be a whole number from 0"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE: empty: must be a whole number from 1"),
        (WORLD | {"RANK": "x"}, "RANK: x: must be a whole number from 0"),
        (WORLD | {"WORLD_SIZE": "-2"}, "WORLD_SIZE: -2: must be"),
        (WORLD | {"RANK": "2"}, "RANK: 2: must be below WORLD_SIZE, which is 2"),
        ({"WORLD_SIZE": "4"}, "RANK: empty: is missing, and WORLD_SIZE is 4"),
        (WORLD | {"LOCAL_RANK": ""}, "LOCAL_RANK: empty: the launcher must set it"),
        (WORLD | {"LOCAL_RANK": "2"}, "LOCAL_RANK: 2: must be a whole number from 0 to 1"),
        (WORLD | {"LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE: 0: must be a whole number from 1 to 2"),
        (WORLD | {"MASTER_ADDR": ""}, "MASTER_ADDR: empty: the launcher must set it"),
        (WORLD | {"MASTER_ADDR": "a..b"}, "MASTER_ADDR: a..b: does not resolve on "),
        (WORLD | {"MASTER_PORT": "abc"}, "MASTER_PORT: abc: must be a whole number from 1 to 65535"),
        ({"LOCAL_RANK": "0"}, "MASTER_ADDR: empty: the launcher must set it"),
        ({"MASTER_ADDR": "n1"}, "accelerate launch: MASTER_ADDR without RANK: without --multi_gpu only one process"),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, "OMPI_COMM_WORLD_SIZE: 4: without RANK each process would be a run of its own"),
        ({"PMI_SIZE": "4"}, "PMI_SIZE: 4: without RANK each"),
        ({"PMI_SIZE": ""}, "PMI_SIZE: empty: must be a whole number from 1"),
        ({"TORCHELASTIC_RESTART_COUNT": "x"}, "TORCHELASTIC_RESTART_COUNT: x: must be"),
        ({"OMP_NUM_THREADS": "many"}, "OMP_NUM_THREADS: many: must be a number of threads from 1"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "srun: 2 tasks: a variable of Slurm's is missing"),
    ],
)
def test_training_refuses_what_makes_no_sense(environment: dict[str, str], problem: str) -> None:
    assert refusal(TRAIN, environment).startswith(f"error: {problem}")


@pytest.mark.parametrize("wanted, visible", [("true", ""), ("false", "0")])
def test_where_the_cpu_is_wanted_gpus_are_hidden(wanted: str, visible: str) -> None:
    """Adam asks torch for a GPU's current stream in each step, which takes memory of a GPU that it sees."""
    environment = {"ACCELERATE_USE_CPU": wanted, "CUDA_VISIBLE_DEVICES": "0"}
    enter_world(environment)
    assert environment["CUDA_VISIBLE_DEVICES"] == visible


def test_a_host_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rank than the first, which nobody ends: it prints its own reason. And the launcher of a node."""
    assert refusal(TRAIN, WORLD | {"RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "a..b"}).startswith(
        "error: MASTER_ADDR: a..b: does not resolve on "
    )
    nodes = ["--nodes", "2", "--node-rank", "1", "--port", "2000", "--address", "a..b"]
    assert refusal([*LAUNCH[:-3], *nodes, "--", *TRAIN[2:]], {}).startswith("error: --address: a..b: does not resolve")
    monkeypatch.setattr(network_interface, "RESOLVE_SECONDS", 0.0)
    with pytest.raises(UsageError, match=r"MASTER_ADDR: nowhere\.invalid: does not resolve on "):
        network_interface.check_resolves("MASTER_ADDR", "nowhere.invalid")
    network_interface.check_resolves("MASTER_ADDR", "localhost")


@pytest.mark.parametrize(
    "command", ["alexnet_dist.cli doctor", "alexnet_dist.cli evaluate", "alexnet_dist.parity.worker"]
)
def test_whatever_runs_on_ranks_asks_the_same(command: str, tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    requests.write_text('[{"flags": [], "steps": 1, "output": "trace", "reference": null}]')
    flags = {"doctor": [], "evaluate": ["--checkpoint", "run"]}.get(command.split()[-1], [str(requests)])
    line = [sys.executable, "-m", *command.split(), *flags]
    assert refusal(line, {"OMPI_COMM_WORLD_SIZE": "4"}).startswith("error: OMPI_COMM_WORLD_SIZE: 4: without RANK")


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("ACCELERATE_USE_CPU", "maybe", "ACCELERATE_USE_CPU: maybe: must be true or false"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "x", "accelerate: its environment variables: invalid literal"),
        ("ACCELERATE_TORCH_DEVICE", "meta", "ACCELERATE_TORCH_DEVICE: meta: this run is on cpu: unset it"),
        ("ACCELERATE_LOG_LEVEL", "loud", "environment: Unknown level: 'LOUD': torch and Accelerate read such"),
        ("TORCH_DISTRIBUTED_DEBUG", "x", "environment: The value of TORCH_DISTRIBUTED_DEBUG must be OFF"),
    ],
)
def test_what_accelerate_would_stumble_over(name: str, value: str, problem: str) -> None:
    assert refusal(TRAIN, {name: value}).startswith(f"error: {problem}")


LAUNCH = [sys.executable, "-m", "alexnet_dist.cli", "launch", "--ranks", "2", "--", *TRAIN[2:]]


def test_the_same_of_a_launcher() -> None:
    assert refusal(LAUNCH, {"TORCH_LOGS": "x"}).startswith("error: environment: Invalid log settings: x")
    given = "environment: Invalid value for environment variable: TORCH_GLOO_LAZY_INIT: torch's process groups read it"
    assert refusal(LAUNCH, {"TORCH_GLOO_LAZY_INIT": "x"}).startswith(f"error: {given}")
    given = "GLOO_SOCKET_IFNAME: lo,nope: no interface with an address is called nope: "
    assert refusal(LAUNCH, {"GLOO_SOCKET_IFNAME": "lo,nope"}).startswith(f"error: {given}")
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):  # torch would abort
        printed = refusal(LAUNCH, {name: "expandable_segments"})
        assert printed.startswith(f"error: {name}: expandable_segments: torch cannot be imported with it: give KEY:")


def test_the_same_of_whatever_imports_torch() -> None:
    line = [sys.executable, "-m", "alexnet_dist", "export", "--checkpoint", "nowhere", "--output", "weights"]
    assert refusal(line, {"TORCH_LOGS": "x"}).startswith("error: environment: Invalid log settings: x")
    assert refusal(line, {"PYTORCH_ALLOC_CONF": "x:[1,2"}).startswith("error: PYTORCH_ALLOC_CONF: x:[1,2: torch cannot")
    fine = {"TORCH_LOGS": "", "PYTORCH_ALLOC_CONF": "roundup_power2_divisions:[256:1,>:8], expandable_segments:True,"}
    assert refusal(line, fine).startswith("error: checkpoint: nowhere: is neither")


def test_a_machine_that_does_not_reach_itself(tmp_path: Path) -> None:
    """As in a network namespace without interfaces. torch would retry for a quarter of an hour."""
    alone, doctor = ["unshare", "--net"], [sys.executable, "-m", "alexnet_dist", "doctor"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can make a network namespace")
    down = "loopback: down: ranks of a machine reach each other through it: ip link set lo up"
    for line, world in ((LAUNCH, {}), (TRAIN, WORLD), ([*doctor, "--ranks", "2"], {})):
        assert refusal([*alone, *line], world) == f"error: {down}"
    flags = ["--data.name", "synthetic", "--run.dir", str(tmp_path / "run")]
    told = subprocess.run([*alone, *doctor, *flags], capture_output=True, text=True, timeout=200, check=False).stdout
    assert f"warning: {down}; one rank does not need it\n" in told, told


@pytest.mark.parametrize("line", [TRAIN, LAUNCH], ids=["alone", "launch"])
def test_too_few_threads(line: list[str]) -> None:
    """Limits do not bind root: another user runs it, with root's right to read this test's folder."""
    rights = "+dac_override,+dac_read_search"
    other = ["setpriv", "--reuid=12345", "--clear-groups", f"--inh-caps={rights}", f"--ambient-caps={rights}"]
    if subprocess.run([*other, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can be another user")
    printed = refusal([*other, "bash", "-c", 'ulimit -u 10; exec "$@"', "bash", *line], {})
    assert re.fullmatch(r"error: ulimit -u: 10: of about \d+ threads 9 can be started: raise it, or the .*", printed)


def test_too_little_address_space_for_threads() -> None:
    check = "from alexnet_dist.distributed.thread_limit import check_threads; check_threads(10_000)"
    line = ["bash", "-c", 'ulimit -v 500000; exec "$@"', "bash", sys.executable, "-c", check]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, check=False)
    assert re.search(r"UsageError: .*ulimit -v.*500000 KiB.*of about 10018 threads \d+ can be started", done.stderr)


@pytest.mark.parametrize("line", [TRAIN, LAUNCH], ids=["alone", "launch"])
def test_a_broken_installation_is_one_line(line: list[str], tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=200, check=False)
    (printed,) = done.stderr.splitlines()
    assert done.returncode == FAILED and printed.endswith(
        "ImportError: libcudart.so.13: cannot open shared object file"
    )


def test_a_launcher_that_is_gone_gets_no_report(tmp_path: Path) -> None:
    """The program ends as without a launcher."""
    line = [*TRAIN, "--optim.lr", "x", "--run.dir", str(tmp_path / "run")]
    printed = refusal(line, {"ALEXNET_DIST_CONTROL": str(tmp_path / "gone"), "ALEXNET_DIST_RESTARTS": "0"})
    assert printed == "error: optim.lr: x: Input should be a valid number" and not (tmp_path / "gone").exists()


JOB = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}


def test_tasks_that_were_allocated_and_not_started_are_one_warning() -> None:
    (line,) = allocation_warnings(JOB)
    assert line.startswith("SLURM_NTASKS: 4 tasks allocated, one started: put srun in front")
    launched = JOB | WORLD | {"MASTER_PORT": str(free_port())}
    for fine in (launched, JOB | {"SLURM_NTASKS": "1"}, {"SLURM_NTASKS": "4"}, {}):
        assert allocation_warnings(fine) == []
