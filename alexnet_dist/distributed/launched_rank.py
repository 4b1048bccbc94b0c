"""This process's rank from the launcher's environment variables, checked. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass

from alexnet_dist.errors import UsageError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# Numbers of processes, set by launchers that set none of the above: Open MPI, MPICH and Intel MPI, MVAPICH, PALS, Flux.
_FOREIGN_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_SIZE", "FLUX_JOB_SIZE")
USE_CPU = "ACCELERATE_USE_CPU"
_TRUE, _FALSE = ("true", "1", "yes", "y", "on", "t"), ("false", "0", "no", "n", "off", "f")
LAST_PORT = 65_535


@dataclass(frozen=True)
class LaunchedRank:
    """This process's place among those that the launcher started.

    Attributes:
        rank, world_size: this process among all, and how many there are.
        local_rank, local_world_size: the same on this machine.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int


def launched_rank(environment: Mapping[str, str]) -> LaunchedRank:
    """This process according to RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; without them, the only one.

    Raises:
        UsageError: a variable is missing or no number, numbers contradict each other, or the processes come from
            another launcher and would not find each other.
    """
    world_size = _number(environment, "WORLD_SIZE", 1, 1_000_000, default=1)
    rank = _number(environment, "RANK", 0, 999_999, default=0)
    if "RANK" not in environment:
        _refuse_unknown_ranks(environment, world_size)
    if rank >= world_size:
        raise UsageError("RANK", rank, f"must be below WORLD_SIZE, which is {world_size}")
    needed = ("LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if world_size > 1 else ()
    for name in needed or (("MASTER_ADDR",) if "LOCAL_RANK" in environment else ()):
        if not environment.get(name):
            remedy = f"the launcher must set it, as torchrun does; for one process unset {', '.join(_VARIABLES)}"
            raise UsageError(name, "", remedy)
    if environment.get("MASTER_PORT"):
        _number(environment, "MASTER_PORT", 1, LAST_PORT, default=LAST_PORT)
    _number(environment, "TORCHELASTIC_RESTART_COUNT", 0, 1_000_000, default=0)
    local_world_size = _number(environment, "LOCAL_WORLD_SIZE", 1, world_size, default=world_size)
    local_rank = _number(environment, "LOCAL_RANK", 0, local_world_size - 1, default=0)
    return LaunchedRank(rank, world_size, local_rank, local_world_size)


def cpu_wanted(environment: Mapping[str, str]) -> bool:
    """Whether ACCELERATE_USE_CPU asks for the CPU although there is a GPU.

    Raises:
        UsageError: it is neither true nor false.
    """
    given = environment.get(USE_CPU, "false").lower()
    if given not in (*_TRUE, *_FALSE):
        raise UsageError(USE_CPU, given, "must be true or false")
    return given in _TRUE


def _refuse_unknown_ranks(environment: Mapping[str, str], world_size: int) -> None:
    """Refuse several processes that were started without telling each which rank it is."""
    if "MASTER_ADDR" in environment:
        raise UsageError(
            "accelerate launch",
            "MASTER_ADDR without RANK",
            "without --multi_gpu only one process comes up, whatever "
            "--num_processes says: use --multi_gpu --num_processes N, also without a GPU",
        )
    if world_size > 1:
        raise UsageError("RANK", "", f"is missing, and WORLD_SIZE is {world_size}: the launcher must set both")
    for name in _FOREIGN_SIZES:
        if _number(environment, name, 1, 1_000_000, default=1) > 1:
            raise UsageError(
                name,
                environment[name],
                "without RANK each process would be a run of its own: start ranks with accelerate launch, torchrun, "
                "srun or alexnet-dist launch",
            )


def _number(environment: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    given = environment.get(name)
    if given is None:
        return default
    # Only ASCII digits, which int() and the C libraries of the launchers read alike.
    if not (given.isascii() and given.isdecimal() and least <= int(given) <= most):
        numbers = f"a whole number from {least} to {most}" if most > least else str(least)
        raise UsageError(name, given, f"must be {numbers}: launchers set it; unset it for one process")
    return int(given)
