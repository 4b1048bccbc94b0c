"""Agreement between ranks by small host-side messages: combined values, and one rank's refusal raised on all."""

from collections.abc import Callable
from typing import TypeVar

from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.tree import Tree
from alexnet_dist.errors import UsageError

T = TypeVar("T")


def combined(world: World, value: T, combine: Callable[[T, T], T]) -> T:
    """All ranks' values combined, on every rank. Collective; small values only.

    Args:
        combine: associative; its arguments are in the order of the ranks.
    """
    tree = Tree(world.control)
    return tree.broadcast(tree.reduce(value, combine))


def gather_on_first(world: World, value: T) -> list[T]:
    """Every rank's value, by rank, on the first rank; nothing elsewhere. Collective; small values only."""
    values = Tree(world.control).gather(value)
    return values if world.rank == 0 else []


def all_or_none(world: World, action: Callable[[], T]) -> T:
    """What `action` returns, if no rank's raises a UsageError; else every rank raises one. Collective.

    Otherwise the other ranks would wait in their next collective.

    Raises:
        UsageError: of the lowest rank whose action raised one.
    """
    result: T | None = None
    problem: tuple[int, UsageError] | None = None
    try:
        result = action()
    except UsageError as error:
        problem = world.rank, error
    problem = combined(world, problem, lambda lower, higher: lower or higher)
    if problem is not None:
        rank, refusal = problem
        raise refusal if rank == 0 else UsageError(refusal.field, refusal.given, f"{refusal.remedy} (rank {rank})")
    return result  # type: ignore[return-value]  # no problem: the action returned


def on_first_rank(world: World, action: Callable[[], T]) -> T:
    """What `action` returns on the first rank, on every rank. Collective.

    Raises:
        UsageError: the first rank's.
    """
    result: T | UsageError | None = None
    if world.rank == 0:
        try:
            result = action()
        except UsageError as error:
            result = error
    result = Tree(world.control).broadcast(result)
    if isinstance(result, UsageError):
        raise result
    return result  # type: ignore[return-value]  # the first rank's
