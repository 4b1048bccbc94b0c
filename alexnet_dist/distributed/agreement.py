"""What all ranks must agree on before anything is trained."""

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
    """Do something on every rank; where one refuses, all do, with the first one's reason. Collective.

    A rank that went on alone would wait for the others in the next collective.
    """
    result: T | None = None
    refusal: UsageError | None = None
    try:
        result = action()
    except UsageError as error:
        refusal = error
    for rank, reason in enumerate(gather_objects(world, refusal and refusal.args)):
        if reason is not None:
            field, given, remedy = reason
            raise UsageError(field, given, remedy if rank == 0 else f"{remedy} (rank {rank})")
    return result  # type: ignore[return-value]  # no refusal: the action returned
