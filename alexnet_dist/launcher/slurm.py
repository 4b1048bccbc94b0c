"""What Slurm's environment says about ranks: tasks that srun started without a launcher, and launchers that it started.

Neither torch nor Accelerate reads Slurm's variables: without this, each task would be a run of its own.
"""

import re
from collections.abc import Mapping, MutableMapping

from alexnet_dist.distributed.cores import record_users_threads
from alexnet_dist.errors import UsageError

# Below the ports that Linux assigns by itself; which one depends on job and step, since jobs may share a node.
FIRST_PORT, PORTS = 10_000, 20_000


def set_ranks_from_srun(environment: MutableMapping[str, str]) -> None:
    """Make each task of an srun step a rank: set RANK, WORLD_SIZE, …, as a launcher would, unless one did.

    Args:
        environment: read and changed. MASTER_ADDR, MASTER_PORT and OMP_NUM_THREADS are kept where they are set.

    Raises:
        UsageError: a variable of Slurm's is missing or makes no sense.
    """
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    if tasks == "1" or "RANK" in environment:
        return
    try:
        job, step = int(environment["SLURM_JOB_ID"]), int(environment["SLURM_STEP_ID"])
        local_world_size = _tasks_by_node(environment["SLURM_STEP_TASKS_PER_NODE"])[int(environment["SLURM_NODEID"])]
        variables = [environment[name] for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST")]
    except (KeyError, ValueError, IndexError) as error:
        raise UsageError(
            "srun", f"{tasks} tasks", f"a variable of Slurm's is missing or makes no sense: {error}"
        ) from None
    rank, local_rank, nodes = variables
    record_users_threads(environment)
    environment.update(RANK=rank, WORLD_SIZE=tasks, LOCAL_RANK=local_rank, LOCAL_WORLD_SIZE=str(local_world_size))
    environment.setdefault("MASTER_ADDR", first_host(nodes))
    environment.setdefault("MASTER_PORT", str(FIRST_PORT + (job + step) % PORTS))


def allocation_warnings(environment: Mapping[str, str]) -> list[str]:
    """A line where Slurm allocated several tasks and this process is the only one.

    sbatch and salloc start their command once; srun starts every task.
    """
    tasks = environment.get("SLURM_NTASKS", "1")
    if tasks == "1" or "SLURM_JOB_ID" not in environment or "RANK" in environment:
        return []
    return [
        f"SLURM_NTASKS: {tasks} tasks allocated, one started: put srun in front to start them all, or submit "
        "slurm/train.sbatch"
    ]


def refuse_separate_launchers(environment: Mapping[str, str]) -> None:
    """Refuse launchers in an srun step that do not know about each other: each would start a run of its own.

    Raises:
        UsageError: with the remedy.
    """
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    launchers = environment.get("GROUP_WORLD_SIZE", tasks)  # set by the launcher
    if tasks not in ("1", launchers):
        raise UsageError(
            "srun",
            f"{tasks} tasks, each with a launcher that counts {launchers}",
            "--num_machines must be $SLURM_NNODES and --machine_rank $SLURM_NODEID, in single quotes so that each node "
            "expands them; or leave the launcher out and start one task a rank",
        )


def first_host(nodes: str) -> str:
    """The first host of Slurm's short form: gpu003 of gpu[003-007,010],login1."""
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", first)


def _tasks_by_node(counts: str) -> list[int]:
    """Tasks of each node, from Slurm's short form: 2(x3),1 is 2, 2, 2, 1."""
    parts = re.findall(r"(\d+)(?:\(x(\d+)\))?", counts)
    return [int(tasks) for tasks, times in parts for _ in range(int(times or 1))]
