"""Started on five ranks by test_agreement.py: each writes down what it was told.

python agreeing.py FOLDER
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from operator import add
from pathlib import Path
from threading import Thread

import torch
import torch.distributed as dist

from alexnet_dist.distributed.agreement import all_or_none, combined, gather_on_first, on_first_rank
from alexnet_dist.distributed.bring_up import limit_waiting
from alexnet_dist.distributed.descriptors import LAZY_GLOO, raise_descriptor_limit
from alexnet_dist.distributed.mesh import World
from alexnet_dist.distributed.tree import Tree
from alexnet_dist.errors import UsageError
from alexnet_dist.telemetry.run_files import write_text


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def refused(rank: int, refusing: set[int]) -> int:
    if rank in refusing:
        raise UsageError("field", rank, "remedy")
    return rank


def told(action: Callable[[], object]) -> object:
    try:
        return action()
    except UsageError as error:
        return str(error)


def sums_of_thread(tree: Tree, number: int, found: dict[int, list[int]]) -> None:
    found[number] = [tree.broadcast(tree.reduce(number * i, add)) for i in range(50)]


def main(folder: Path) -> None:
    os.environ[LAZY_GLOO] = "1"
    raise_descriptor_limit()
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    control = dist.new_group(backend="gloo")
    assert isinstance(control, dist.ProcessGroup)
    before = open_files()
    tree = Tree(control)
    values = [tree.reduce(str(rank), add), tree.broadcast(f"{rank}'s"), tree.gather("x" * 10_000 * rank)]
    connections = open_files() - before
    world, threads = World(rank, size, torch.device("cpu"), control), dict[int, list[int]]()
    working = [Thread(target=sums_of_thread, args=(Tree(control, tag), tag, threads)) for tag in (1, 2)]
    for thread in working:
        thread.start()
    in_this = [combined(world, rank, max) for _ in range(50)]
    for thread in working:
        thread.join()
    seen = {
        "reduced": values[0],
        "broadcast": values[1],
        "gathered": [len(text) for text in values[2]] if rank == 0 else None,
        "connections": connections,
        "combined": [combined(world, str(rank), add), sorted(set(in_this)), threads[1], threads[2]],
        "gather_on_first": gather_on_first(world, rank),
        "all": told(lambda: all_or_none(world, lambda: refused(rank, set()))),
        "none": told(lambda: all_or_none(world, lambda: refused(rank, {2, 4}))),
        "first": told(lambda: on_first_rank(world, lambda: refused(rank, {3}))),
        "first refuses": told(lambda: on_first_rank(world, lambda: refused(rank, {0}))),
    }
    limit_waiting(world, [], timedelta(seconds=1))
    written = folder / "0.json"
    while rank == 4 and not written.exists():  # it does not answer
        time.sleep(0.1)
    try:
        seen["silent"] = str(tree.gather(rank) if rank < 4 else None)
    except RuntimeError as error:
        seen["silent"] = str(error)
    write_text(folder / f"{rank}.json", json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
