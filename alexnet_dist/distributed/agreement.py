"""Small host-side messages: every rank learns what the others hold, or that one of them refuses."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from alexnet_dist.distributed.mesh import World
from alexnet_dist.errors import UsageError

T = TypeVar("T")


def gather_objects(world: World, value: Any) -> list[Any]:
    """Every rank's value, by rank, on every rank. Collective; small values only."""
    if world.control is None:
        return [value]
    values: list[Any] = [None] * world.size
    dist.all_gather_object(values, value, group=world.control)
    return values


def all_or_none(world: World, action: Callable[[], T]) -> T:
    """Call `action` on every rank; if it raises a UsageError on any, every rank raises the error of the lowest of them.
    Collective.

    Otherwise the others would wait for that rank in the next collective.
    """
    result: T | None = None
    problem: UsageError | None = None
    try:
        result = action()
    except UsageError as error:
        problem = error
    for rank, reason in enumerate(gather_objects(world, problem and problem.args)):
        if reason is not None:
            field, given, remedy = reason
            raise UsageError(field, given, remedy if rank == 0 else f"{remedy} (rank {rank})")
    return result  # type: ignore[return-value]  # no problem: the action returned


def on_first_rank(world: World, action: Callable[[], T]) -> T:
    """What `action` returns on the first rank, on every rank. Collective.

    Raises:
        UsageError: the first rank's.
    """
    result = all_or_none(world, lambda: action() if world.rank == 0 else None)
    first: T = gather_objects(world, result)[0]
    return first
