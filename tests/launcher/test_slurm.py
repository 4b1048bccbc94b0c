"""Slurm's variables, as srun sets them."""

import pytest

from alexnet_dist.errors import UsageError
from alexnet_dist.launcher.slurm import first_host, set_ranks_from_srun

STEP = {
    "SLURM_JOB_ID": "50007", "SLURM_STEP_ID": "1", "SLURM_STEP_NUM_TASKS": "7", "SLURM_STEP_NODELIST": "gpu[07-09,11]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_PROCID": "4", "SLURM_NODEID": "2", "SLURM_LOCALID": "0",
}  # fmt: skip


def test_a_task_becomes_a_rank() -> None:
    environment = dict(STEP)
    set_ranks_from_srun(environment)
    assert {name: environment[name] for name in environment if name not in STEP} == {
        "RANK": "4", "WORLD_SIZE": "7", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "gpu07", "MASTER_PORT": "20008", "ALEXNET_DIST_OMP_NUM_THREADS": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, value", [("SLURM_NODEID", "9"), ("SLURM_JOB_ID", ""), ("SLURM_STEP_TASKS_PER_NODE", "x")]
)
def test_variables_that_make_no_sense_are_one_line(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=r"^srun: 7 tasks: a variable of Slurm's is missing or makes no sense: "):
        set_ranks_from_srun(STEP | {name: value})


@pytest.mark.parametrize("changed", [{"RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "1"}])
def test_variables_of_a_launcher_are_kept_and_one_task_is_one_process(changed: dict[str, str]) -> None:
    environment = STEP | changed
    set_ranks_from_srun(environment)
    assert environment == STEP | changed


@pytest.mark.parametrize(
    "nodes, first",
    [
        ("n1", "n1"),
        ("n[1-2]", "n1"),
        ("gpu[003,007-010],cpu1", "gpu003"),
        ("a-1,b[2-3]", "a-1"),
        ("r[1-2]n[3-4]", "r1n3"),
    ],
)
def test_the_first_host_of_a_short_form(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
