"""How fast ranks reach each other: latency and bandwidth of what training does most."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from alexnet_dist.doctor.facts import Facts

# Bytes of the full buffer. The large one grows until a call takes long enough to be told from latency.
SMALL, LARGE, LARGEST, GROWTH = 64, 2**18, 2**28, 4
LONG_ENOUGH = 0.03
SECONDS_PER_LINK, MOST_CALLS = 0.2, 100

Collective = Callable[[Tensor, dist.ProcessGroup], None]


@dataclass(frozen=True)
class Link:
    """One way of talking.

    Attributes:
        what, where: names.
        groups: the ranks that talk, all groups at once.
    """

    what: str
    where: str
    groups: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Speed:
    """Of the slowest group.

    Attributes:
        latency: seconds of a call with next to no data.
        bandwidth: bytes that each rank sends, per second of a call with much.
    """

    link: Link
    latency: float
    bandwidth: float

    @property
    def ranks(self) -> str:
        """How many talk with each other: 2, or 2-4 where groups differ."""
        return "-".join(str(size) for size in sorted({len(group) for group in self.link.groups}))

    def as_json(self) -> dict[str, str | float]:
        """Names and figures, in seconds and bytes/s."""
        names = {"what": self.link.what, "where": self.link.where, "ranks": self.ranks}
        return {**names, "latency": self.latency, "bandwidth": self.bandwidth}


def links(ranks: Sequence[Facts]) -> list[Link]:
    """What there is to measure: within nodes, between nodes, and where these differ, everyone at once.

    Args:
        ranks: by rank.
    """
    nodes: dict[str, list[int]] = {}
    for facts in ranks:
        nodes.setdefault(facts.host, []).append(facts.rank)
    inside = [node for node in nodes.values() if len(node) > 1]
    pairs = [node[i : i + 2] for node in inside for i in range(0, len(node) - 1, 2)]
    firsts = [node[0] for node in nodes.values()]
    found = [
        Link("all-reduce", "within a node", inside),
        Link("all-reduce", "between nodes", [firsts]),
        Link("all-reduce", "all ranks", [range(len(ranks))] if inside and len(nodes) > 1 else []),
        Link("pair exchange", "within a node", pairs),
        Link("pair exchange", "between nodes", [firsts[:2]]),
    ]
    return [link for link in found if link.groups and len(link.groups[0]) > 1]


def measure(link: Link, rank: int, device: torch.device) -> Speed:
    """Time one link. Collective over all ranks, also those that take no part in it."""
    own: dist.ProcessGroup | None = None
    for members in link.groups:
        group = dist.new_group(list(members))
        if rank in members:
            assert isinstance(group, dist.ProcessGroup), "its members get the group"
            own = group
    size = len(link.groups[0])
    collective, passes = (_all_reduce, 2) if link.what == "all-reduce" else (_exchange, 1)
    latency = _seconds(collective, torch.zeros(SMALL // 4, device=device), own)
    large, busy = LARGE, 0.0
    while busy < LONG_ENOUGH and large < LARGEST:
        large *= GROWTH
        busy = _seconds(collective, torch.zeros(large // 4, device=device), own)
    return Speed(link, latency, passes * (size - 1) / size * large / busy)


def _all_reduce(buffer: Tensor, group: dist.ProcessGroup) -> None:
    dist.all_reduce(buffer, group=group)


def _exchange(buffer: Tensor, group: dist.ProcessGroup) -> None:
    parts = buffer.chunk(group.size())
    dist.all_gather(list(parts), parts[group.rank()].clone(), group=group)


def _seconds(collective: Collective, buffer: Tensor, group: dist.ProcessGroup | None) -> float:
    """Seconds of a call, of the slowest rank. Collective over all ranks."""
    _timed(collective, buffer, group, 1)
    once = _slowest(_timed(collective, buffer, group, 1), buffer.device)
    calls = max(1, min(MOST_CALLS, int(SECONDS_PER_LINK / max(once, 1e-6))))
    return _slowest(_timed(collective, buffer, group, calls) / calls, buffer.device)


def _timed(collective: Collective, buffer: Tensor, group: dist.ProcessGroup | None, calls: int) -> float:
    start = time.perf_counter()
    if group is not None:
        for _ in range(calls):
            collective(buffer, group)
        if buffer.is_cuda:
            torch.cuda.synchronize()
    return time.perf_counter() - start


def _slowest(seconds: float, device: torch.device) -> float:
    slowest = torch.tensor(seconds, dtype=torch.float64, device=device)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return float(slowest)
